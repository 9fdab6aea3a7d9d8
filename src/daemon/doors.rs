//! Where the service is asked: the control socket, and page and metrics.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Fault;
use crate::config::Config;
use crate::flow::House;
use crate::{control, http};

/// Both, open; each sees the house that is in force.
pub(super) struct Doors {
    socket: PathBuf,
    current: watch::Sender<Arc<House>>,
    shown: watch::Sender<Arc<http::View>>,
    answering: JoinHandle<()>,
    showing: JoinHandle<()>,
}

impl Doors {
    pub async fn open(house: &Arc<House>) -> Result<Doors, Fault> {
        let socket = house.config.collector.socket.clone();
        let listener = listen(&socket)?;
        let (current, houses) = watch::channel(house.clone());
        let answering = tokio::spawn(control::serve(houses, listener));
        let (shown, views) = watch::channel(view(house));
        let showing = match watched_at(&house.config).await {
            Some(listener) => tokio::spawn(http::serve(views, listener)),
            None => tokio::spawn(async {}),
        };
        Ok(Doors { socket, current, shown, answering, showing })
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// From now on this house is in force.
    pub fn reconfigure(&self, house: &Arc<House>) {
        self.current.send_replace(house.clone());
        self.shown.send_replace(view(house));
    }

    /// Nobody new is let in. The first ends when all who ask are answered; the second goes on until it is ended.
    pub fn close(self) -> (JoinHandle<()>, JoinHandle<()>) {
        drop(std::fs::remove_file(&self.socket));
        (self.answering, self.showing)
    }
}

/// Binds the control socket, readable and writable for owner and group.
fn listen(socket: &Path) -> Result<UnixListener, Fault> {
    let fault = |cause| Fault::Socket { path: socket.to_owned(), cause };
    if let Some(dir) = socket.parent() {
        std::fs::create_dir_all(dir).map_err(fault)?;
    }
    // The ledger's lock is ours, so a socket that is still there belongs to nobody.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fault(error)),
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(fault)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660)).map_err(fault)?;
    Ok(listener)
}

/// Binds the address of page and metrics, where they are wanted. A port that another program has must not keep
/// deadlines from being watched over: that metrics are missing is seen by whoever wants them.
async fn watched_at(config: &Config) -> Option<TcpListener> {
    let listen = config.http.listen;
    if !config.http.enabled {
        return None;
    }
    let bound = TcpListener::bind(listen).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
    match bound {
        Ok((addr, listener)) => {
            tracing::info!(url = %format!("http://{addr}/"), "status page and metrics");
            Some(listener)
        }
        Err(error) => {
            tracing::error!(%listen, %error, "no status page and no metrics until the next start; all else goes on");
            None
        }
    }
}

/// What page and metrics see of the house.
pub fn view(house: &House) -> Arc<http::View> {
    let clock = house.clock.clone();
    Arc::new(http::View {
        name: house.config.collector.name.clone(),
        watched: house.watched.clone(),
        settings: house.settings.clone(),
        ledger: house.ledger.clone(),
        metrics: house.metrics.clone(),
        now: Box::new(move || clock.now()),
        per_device: house.config.http.per_device.holds_for(house.watched.len()),
    })
}
