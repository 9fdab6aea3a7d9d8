//! `READ-ME.txt`: for the person who carries the bundle, who may never have seen this program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::contains::{Contains, Hostnames};
use super::{MANIFEST, Manifest, SIGNATURE, SIGNER};
use crate::domain::instance::Account;
use crate::exchange::seal::Certificate;

/// What the text tells beside the manifest.
pub(super) struct Told<'a> {
    /// The files in `single/` of each account.
    pub(super) singles: &'a BTreeMap<Account, Vec<String>>,
    /// Smart Account and the name of its archive.
    pub(super) archives: &'a [(String, String)],
    pub(super) contains: &'a Contains,
}

pub(super) fn text(manifest: &Manifest, told: &Told<'_>, signer: &Certificate) -> String {
    let instances = manifest.reports.iter().map(|report| &report.udi).collect::<BTreeSet<_>>().len();
    let unassigned = manifest.accounts.iter().any(|account| !is_complete(account));
    let mut text = format!(
        "CISCO LICENCE USAGE REPORTS FOR UPLOAD\n\
         ======================================\n\n\
         Bundle    {}\n\
         Made      {} by {}\n\
         Site      {}\n\
         Holds     {} usage report{} of {instances} product instance{}\n\
         Before it {}\n\n\
         These are signed usage reports (RUM reports) of Cisco devices that cannot\n\
         reach Cisco themselves. Upload them, and bring back what the portal answers:\n\
         only the answer (ACK) ends the devices' reporting deadline, not the upload.\n\n",
        line(&manifest.bundle_id),
        manifest.created,
        line(&manifest.collector),
        manifest.site.as_ref().map_or("all".to_owned(), |site| line(&site.0)),
        manifest.reports.len(),
        plural(manifest.reports.len()),
        plural(instances),
        manifest.previous_bundle_id.as_deref().map_or("no bundle".to_owned(), line),
    );

    text.push_str("1. CHECK THE BUNDLE (optional, needs OpenSSL 3; in this folder)\n\n");
    let _ = write!(
        text,
        "   openssl pkeyutl -verify -rawin -certin -inkey {SIGNER} -in {MANIFEST} -sigfile {SIGNATURE}\n\n\
         \x20  It answers \"Signature Verified Successfully\". Who signed it tells the\n\
         \x20  fingerprint; compare it with the one that your site gave you, not with\n\
         \x20  this file alone:\n\n\
         \x20  openssl x509 -in {SIGNER} -noout -fingerprint -sha256\n\
         \x20  {}\n\n\
         \x20  {MANIFEST} lists every other file with its size and SHA-256, which\n\
         \x20  sha256sum FILE prints. At the site, bundle verify checks all of it at once.\n\n",
        colons(&signer.fingerprint.0),
    );

    text.push_str(
        "2. UPLOAD\n\n\
         \x20  Do not open, edit or rename the files: the portal refuses changed ones, and\n\
         \x20  the answer carries the name of the file it belongs to.\n\n\
         \x20  1. Sign in at https://software.cisco.com and open Smart Software Manager.\n\
         \x20  2. Choose the Smart Account.\n\
         \x20  3. Open Reports > Usage Data Files and choose Upload Usage Data.\n\
         \x20  4. Browse to a file of a) or b) below, and upload it.\n\
         \x20  5. Where a Virtual Account is asked for, choose the one named below.\n\
         \x20  6. The file appears in the list. Go on with the next.\n\n\
         \x20  The portal's menus change; these are the words of Cisco's guides. If you\n\
         \x20  cannot finish, upload the rest later, but nothing twice: of a report that it\n\
         \x20  has already, Cisco's interface for programs answers FAILED and a message.\n\
         \x20  What the portal does then, and which answer counts, is not known here: note\n\
         \x20  the message, bring back every answer, and go on with the next file.\n\n",
    );
    if !told.singles.is_empty() {
        text.push_str("   a) The way that Cisco documents: the files in single/, one for each device.\n\n");
        for (account, names) in told.singles {
            let _ = writeln!(
                text,
                "      Smart Account {}, Virtual Account {}",
                line(account.smart_account.as_deref().unwrap_or_default()),
                line(account.virtual_account.as_deref().unwrap_or_default())
            );
            for name in names {
                let _ = writeln!(text, "         single/{name}");
            }
        }
        text.push_str(
            "\n   b) All at once: one archive for each Smart Account. This form is known only\n\
             \x20     from Cisco's own sample code, not from its documentation; if the portal\n\
             \x20     refuses it, nothing is lost: use a). Never upload both a) and b).\n\n",
        );
        for (account, name) in told.archives {
            let _ = writeln!(text, "         {name}   Smart Account {}", line(account));
        }
        text.push('\n');
    }
    if unassigned {
        text.push_str(
            "   !  The files in unassigned/ are of devices whose Smart Account or Virtual\n\
             \x20     Account is not known to the collector. A person who knows where they\n\
             \x20     belong must choose both when uploading them, one by one as in a). They\n\
             \x20     are in no archive. Tell the site what was chosen: it belongs into the\n\
             \x20     inventory.\n\n",
        );
    }

    text.push_str(
        "3. WAIT, AND BRING BACK THE ANSWERS\n\n\
         \x20  The portal takes some minutes, perhaps hours. When a file's reporting status is\n\
         \x20  no longer pending, download its acknowledgement from the same list. Bring back\n\
         \x20  every file that the portal gives, under the name it has: ACK_ and the name of\n\
         \x20  the uploaded file. Do not unpack, do not rename; a (1) that your browser\n\
         \x20  put before the ending may stay. At the site it is read by:\n\n\
         \x20  slp-collector ack import FILE...\n\n\
         \x20  If the portal reports an error for a file, note the file and the message.\n\n",
    );
    text.push_str("4. WHAT LEAVES THE SITE WITH THIS BUNDLE\n\n");
    for kind in told.contains.kinds() {
        let _ = writeln!(text, "   - {}", kind.sentence());
    }
    text.push_str(
        "\n   Of this folder only the files named in 2. go to Cisco. They are what the\n\
         \x20  devices signed, and nothing is added to them. Whether a device puts its host\n\
         \x20  name and its software version there is its own setting: the block Data\n\
         \x20  Privacy of show license status tells it; on IOS XE the command license smart\n\
         \x20  privacy sets it, by Cisco's command reference.\n",
    );
    let Hostnames { sent, kept_back, not_told } = told.contains.hostnames;
    let _ = writeln!(
        text,
        "\n   By their own word when they were last asked, {sent} of these product instances\n   \
         put their host name there and {kept_back} keep it back; of {not_told} it is not known.",
    );
    text
}

fn is_complete(account: &Account) -> bool {
    account.smart_account.is_some() && account.virtual_account.is_some()
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Foreign text on a line of its own, without what a terminal would obey.
fn line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// `AB:CD:…`, as OpenSSL prints fingerprints.
fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
