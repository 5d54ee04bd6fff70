//! Where all members subscribe to the same topics: quotas are filled, so that no two members differ
//! by more than one partition. Java's `ConstrainedAssignmentBuilder`.

use super::table::{Racks, Table};

pub(super) fn assign(table: &Table<'_>) -> Vec<Option<usize>> {
    let mut quotas = Quotas::new(table);
    for member in 0..table.members.len() {
        quotas.keep_owned(member);
    }
    let mut unassigned: Vec<usize> =
        (0..table.count()).filter(|partition| !quotas.is_assigned(*partition)).collect();
    if let Some(racks) = &table.racks {
        unassigned.sort_by_key(|partition| racks.choices(*partition));
        unassigned.retain(|partition| !quotas.assign_within_rack(racks, *partition));
    }
    quotas.assign_in_turn(&unassigned);
    quotas.owner
}

struct Quotas<'a> {
    table: &'a Table<'a>,
    owner: Vec<Option<usize>>,
    load: Vec<usize>,
    /// What everybody gets.
    min: usize,
    /// How many members may still get one more than that.
    extras: usize,
    /// Members below `min`, ascending.
    hungry: Vec<usize>,
    /// Members at `min` that could take one more, in the order they came.
    content: Vec<usize>,
    /// Where among the hungry the next search for a rack begins.
    next_hungry: usize,
}

impl<'a> Quotas<'a> {
    fn new(table: &'a Table<'a>) -> Self {
        let members = table.members.len().max(1);
        Self {
            table,
            owner: vec![None; table.count()],
            load: vec![0; table.members.len()],
            min: table.count() / members,
            extras: table.count() % members,
            hungry: Vec::new(),
            content: Vec::new(),
            next_hungry: 0,
        }
    }

    fn is_assigned(&self, partition: usize) -> bool {
        self.owner.get(partition).is_some_and(Option::is_some)
    }

    fn load(&self, member: usize) -> usize {
        self.load.get(member).copied().unwrap_or(0)
    }

    fn give(&mut self, partition: usize, member: usize) {
        if let (Some(owner), Some(load)) =
            (self.owner.get_mut(partition), self.load.get_mut(member))
        {
            *owner = Some(member);
            *load += 1;
            if *load > self.min {
                self.extras = self.extras.saturating_sub(1);
            }
        }
    }

    /// Lets a member keep what it owns, up to its quota.
    fn keep_owned(&mut self, member: usize) {
        let table = self.table;
        let mine = |partition: &usize| table.owner.get(*partition) == Some(&Some(member));
        let claims = table.claims.get(member).into_iter().flatten().copied();
        let mut owned: Vec<usize> = claims
            .filter(|partition| mine(partition) && !table.racks_mismatch(member, *partition))
            .collect();
        // By number first, so that co-partitioned topics lose the same ones.
        owned.sort_by_key(|partition| (table.number(*partition), *partition));
        let quota = self.min + usize::from(self.extras > 0 && owned.len() > self.min);
        for partition in owned.into_iter().take(quota) {
            self.give(partition, member);
        }
        if self.load(member) < self.min {
            self.hungry.push(member);
        } else if self.load(member) == self.min {
            self.content.push(member);
        }
    }

    /// Gives a partition to a member in a rack of its, if one of those has room.
    fn assign_within_rack(&mut self, racks: &Racks, partition: usize) -> bool {
        let count = self.hungry.len();
        let turns = (0..count).map(|step| (self.next_hungry + step) % count);
        let found = turns.into_iter().find(|turn| {
            self.hungry.get(*turn).is_some_and(|member| racks.share(*member, partition))
        });
        if let Some(turn) = found {
            let next = self.feed(turn, partition);
            self.next_hungry = if self.hungry.is_empty() { 0 } else { next % self.hungry.len() };
            return true;
        }
        if self.extras == 0 {
            return false;
        }
        let Some(at) = self.content.iter().position(|member| racks.share(*member, partition))
        else {
            return false;
        };
        let member = self.content.remove(at);
        self.give(partition, member);
        true
    }

    /// Gives what is left to the hungry in turn, then one each to the content.
    fn assign_in_turn(&mut self, unassigned: &[usize]) {
        self.content.sort_unstable();
        let mut turn = 0;
        let mut late = Vec::new();
        for partition in unassigned {
            if self.hungry.is_empty() {
                late.push(*partition);
                continue;
            }
            turn = self.feed(turn % self.hungry.len(), *partition);
        }
        let filled = std::mem::take(&mut self.content);
        let mut content = filled.into_iter();
        for partition in late {
            if let Some(member) = content.next() {
                self.give(partition, member);
            }
        }
    }

    /// Gives a partition to the hungry member at `turn`; whose turn is next.
    fn feed(&mut self, turn: usize, partition: usize) -> usize {
        let Some(member) = self.hungry.get(turn).copied() else { return 0 };
        self.give(partition, member);
        if self.load(member) < self.min {
            return turn + 1;
        }
        self.hungry.remove(turn);
        self.content.push(member);
        turn
    }
}
