//! The runner: workflows, graphs, units, keys, the store, runs. It knows no picture, no tensor, no plugin engine.
//!
//! # Steps
//! load → resolve → check → key → plan → run → record:
//! 1. [`workflow`]: YAML text becomes a tree that remembers where every value stands, then typed stages;
//! 2. [`graph`]: stages become a DAG whose edges carry artifact kinds;
//! 3. [`cache`]: every unit of work gets a key made of everything that can change its result;
//! 4. [`plan`]: the store says which units are there, and [`why`] the others are not;
//! 5. [`run`]: what is missing is computed, kept, recorded;
//! 6. [`report`]: a finished run is told.
//!
//! [`session`] is the door to all of it: a workflow, its store, and what can be done with them. [`last`] and [`trace`] look at what
//! is over, [`lock`] writes down what a workflow is made of.
//!
//! What a stage is, the one trait everything else plugs into, stands in [`stage`].

pub mod artifact;
pub mod cache;
pub mod diag;
pub mod diff;
pub mod digest;
pub mod graph;
pub mod job;
pub mod last;
pub mod lock;
pub mod plan;
pub mod reference;
pub mod report;
pub mod reporter;
pub mod run;
pub mod schema;
pub mod session;
pub mod stage;
pub mod trace;
pub mod why;
pub mod workflow;
