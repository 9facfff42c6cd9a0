//! What holds of a journal, whatever happens to the process, the disk or the bytes.

mod crash;
mod damage;
mod directory;
mod disk;
mod faults;
mod fixture;
mod life;
