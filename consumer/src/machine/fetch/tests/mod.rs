mod positions;
mod requests;
mod resets;
mod world;
