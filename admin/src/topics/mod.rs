//! Creating, deleting, growing and describing topics.

mod create;
mod delete;
mod describe;
mod grow;

pub use create::{CreateTopic, CreateTopics, CreatedTopic, NewTopic};
pub use delete::{DeleteTopic, DeleteTopics};
pub use describe::{DescribeTopic, DescribeTopics, ListTopics, TopicDescription};
pub use grow::{CreatePartitions, NewPartitions};
