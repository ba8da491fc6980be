//! The pure parts of Aethalloc: numbers, tables and policies, with no memory, clock or system call of their own.
//!
//! Called by every other crate. Costs nothing at run time beyond the tables, which are constants.
#![no_std]
#![forbid(unsafe_code)]

pub mod bounds;
pub mod class;
pub mod demand;
pub mod limit;
pub mod options;
pub mod policy;
pub mod pressure;
pub mod safety;
pub mod tags;
pub mod units;
