//! One partition: step by step, and against a broker that fails at random.

mod codecs;
mod forgotten;
mod model;
mod steps;
