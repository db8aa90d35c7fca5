//! Pipelines with a thread for each stage.

use std::sync::Arc;

use smol::future::block_on;

use super::channel::{MessageChannel, connect};
use super::progress::BatchProgress;
use super::{PipelineDriver, PipelineShape, StageRunner};
use crate::mechanism::{Crew, Failure, Operation, Parameters};

/// The crew's threads run the stages by themselves.
struct StageThreads;

impl StageRunner for StageThreads {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        block_on(future)
    }
}

/// Pipelines over channels of `C`, whose ends block the calling thread.
pub(super) fn set_up<C: MessageChannel>(
    parameters: &Parameters,
    crew: &mut Crew,
) -> Result<Box<dyn Operation>, Failure> {
    let shape = PipelineShape::of(parameters);
    let progress = Arc::new(BatchProgress::new(&shape));
    let driver = PipelineDriver::new(&shape, &progress, StageThreads);
    let stages = connect::<C>(&shape, &progress, crew);
    for (index, stage) in stages.into_iter().enumerate() {
        crew.spawn(index + 1, move |ready| {
            ready.signal();
            block_on(stage.0);
            Ok(())
        })?;
    }
    Ok(Box::new(driver))
}
