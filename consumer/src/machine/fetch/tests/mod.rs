mod positions;
mod requests;
mod resets;
mod rewinds;
mod world;
