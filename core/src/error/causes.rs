//! An error with what it came of.

use std::error::Error;
use std::fmt;

/// Shows an error and all its causes in one line: whoever prints an error prints no more than that,
/// and has to be told why.
#[derive(Debug, Clone, Copy)]
pub struct WithCauses<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.0.to_string();
        f.write_str(&told)?;
        untold(told, self.0.source()).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// What the causes of an error say that was not `told` before: some errors tell their cause
/// themselves.
pub(super) fn untold<'a>(
    mut told: String,
    mut cause: Option<&'a (dyn Error + 'static)>,
) -> impl Iterator<Item = String> + 'a {
    std::iter::from_fn(move || {
        loop {
            let error = cause?;
            cause = error.source();
            let text = error.to_string();
            if !told.contains(&text) {
                told.extend(["\n", &text]);
                return Some(text);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;
    use crate::error::CloseReason;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        #[source]
        cause: Option<Arc<dyn Error + Send + Sync>>,
    }

    #[test]
    fn an_error_is_told_with_all_that_it_came_of() {
        check(["not sent", "no connection", "refused"], "not sent: no connection: refused");
        check(["not sent", "no connection", ""], "not sent: no connection");
    }

    #[test]
    fn what_an_error_tells_of_its_cause_is_not_told_again() {
        check(["not sent: refused", "refused", "by a"], "not sent: refused: by a");
        check(["not sent (refused); wait", "late", "refused"], "not sent (refused); wait: late");
        let refused = Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused));
        let shown = WithCauses(&CloseReason::Connect(refused)).to_string();
        assert_eq!(shown, "cannot connect: connection refused");
    }

    #[track_caller]
    fn check(texts: [&'static str; 3], expected: &str) {
        let mut cause: Option<Arc<dyn Error + Send + Sync>> = None;
        for text in texts.into_iter().rev() {
            cause = Some(Arc::new(Told { text, cause }));
        }
        assert_eq!(WithCauses(&cause.unwrap()).to_string(), expected);
    }
}
