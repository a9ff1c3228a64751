//! Questions whose answer a step can do without when nobody answers for a while.

use super::StepContext;
use crate::world::{Class, Result};
use std::future::Future;
use std::time::Duration;

/// For how long, in clock time: longer than a hiccup, and well below a step's deadline.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(2);

/// Asks again while the answer is a transient error, for a while; then that error is the answer.
pub(super) async fn patiently<T, F: Future<Output = Result<T>>>(
    cx: &StepContext<'_>,
    mut ask: impl FnMut() -> F,
) -> Result<T> {
    let until = cx.world.clock.now() + PATIENCE;
    loop {
        match ask().await {
            Err(error)
                if matches!(error.class, Class::Transient | Class::Unknown) && cx.world.clock.now() + PAUSE < until =>
            {
                cx.effects.progress(&error.what);
                cx.world.clock.sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}
