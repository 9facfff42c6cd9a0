//! The catalog: on its way to this gateway, and as every request reads it.

pub mod batch;
pub mod feed;
mod frames;
pub mod keep;
pub mod last_good;

pub mod catalog;
pub mod index;
pub mod plan;
pub mod product;
pub mod subscriber;

#[cfg(test)]
mod shelf;
