//! Signals: what systemd and people tell the service.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What the service is told from outside.
#[derive(Debug)]
pub enum Order {
    /// Configuration and inventory are to be read again.
    Reload,
    /// It is to end; by whose word.
    Stop(&'static str),
}

/// The signals of this process, as orders.
pub(super) fn signals() -> std::io::Result<mpsc::Receiver<Order>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let (give, orders) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let order = tokio::select! {
                _ = terminate.recv() => Order::Stop("SIGTERM"),
                _ = interrupt.recv() => Order::Stop("SIGINT"),
                _ = hang_up.recv() => Order::Reload,
            };
            if give.send(order).await.is_err() {
                break;
            }
        }
    });
    Ok(orders)
}
