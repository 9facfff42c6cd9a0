//! Sending against billing systems that are as strict as the real ones.

mod air;
mod clocks;
mod contract;
mod episodes;
mod put_back;
mod schedules;
mod systems;
mod world;
