//! The words that all rooms share: where tasks run, what is counted, what was found out, what the machine is.
//!
//! They are data, and pure functions over it. What observes, holds or changes the machine stands in the rooms above:
//! `core/src/host/` observes a [`Host`], `core/src/crew/` holds an [`Idle`] state and adopts a [`Policy`],
//! `core/src/pmu/` counts what a [`CounterSummary`] tells, `core/src/sys/` asks the kernel for a [`ResourceUsage`] and
//! takes a [`SpeedProbe`].

pub mod host;
pub mod noise;

/// The optimisation level, by cargo's numbers and letters, at which this crate was compiled: mechanisms, and so the
/// loops whose time is taken. That of the program around them may be another.
pub const OPT_LEVEL: &str = env!("SWITCHCOST_OPT_LEVEL");

mod calibration;
mod counters;
mod doubt;
mod idle;
mod metric;
mod metric_key;
mod observation;
mod parameter;
mod placement;
mod policy;
mod resource_usage;
mod setting;
mod shortfall;
mod speed_probe;
mod unit;

pub use calibration::{
    CalibrationLap, CalibrationPoint, CalibrationTime, Dispatch, OperatingPoint, PointRole, ServerCalibration,
};
pub use counters::CounterSummary;
pub use doubt::Doubt;
pub use host::{Host, Moment};
pub use idle::{Idle, UnknownIdle};
pub use metric::{Curve, CurveAxis, Distribution, Metric, Scalar, ValueHistogram};
pub use metric_key::MetricKey;
pub use observation::{
    ChangeKind, DescriptorType, Observation, ObservedChange, ObservedMoment, ObservedRequests, OverheadPair,
    ServingSleeps, SpanUsage, SwitchDetail, ThreadRole, TierCost, Wait, WaitKind, WatchOverhead, WatchTier,
};
pub use parameter::{Domain, Parameter, ParameterError, Parameters, Value};
pub use placement::{Placement, UnknownPlacement};
pub use policy::{Class, NoSuchSlice, Policy, SLICES_US, UnknownClass};
pub use resource_usage::ResourceUsage;
pub use setting::Setting;
pub use shortfall::{Shortfall, Unsupported};
pub use speed_probe::SpeedProbe;
pub use unit::Unit;
