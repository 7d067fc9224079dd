//! One file per verb: typed arguments, the resolved request, one engine call, a value to render.

pub mod attach;
pub mod container;
pub mod create;
pub mod exec;
pub mod gc;
pub mod images;
pub mod info;
pub mod inspect;
pub mod kill;
pub mod logs;
pub mod ps;
pub mod pull;
pub mod restart;
pub mod rm;
pub mod rmi;
pub mod run;
pub mod settings;
pub mod start;
pub mod stop;
pub mod supervise;
pub mod values;
pub mod version;
pub mod wait;
