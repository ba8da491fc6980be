//! The Aethalloc allocator.
#![no_std]
#![allow(missing_docs)]

pub mod front;
pub mod stats;
