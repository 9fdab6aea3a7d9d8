//! What systemd is told. Without it there is nobody to tell.

use std::time::Duration;

use sd_notify::NotifyState;

use super::LOOK;

pub(super) fn tell(state: NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// How often it wants to hear that the loop turns.
pub(super) fn watchdog_interval() -> Duration {
    sd_notify::watchdog_enabled().map_or(LOOK, |limit| limit / 2)
}
