//! Slabs: descriptors, state bytes, the claim word, lists of slabs by class.
//!
//! Called by the thread caches; uses the page heap and the space. See the files for pictures and costs.

pub mod ahead;
pub mod central;
mod chain;
pub mod claim;
pub mod live;
pub mod owners;
pub mod purge;
pub mod reclaim;
mod shape;
pub mod slab;
mod states;
pub mod waiting;
