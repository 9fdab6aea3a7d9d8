//! What the device's own words say: its model, its codes, its compliance, its clock, its transport.

use super::{About, Evidence, Kind, Scan, Told};
use crate::domain::fleet::Instance;
use crate::domain::policy::LicenceClass;
use crate::domain::settings::Reporter;
use crate::domain::state::{Authorizations, DeviceState, License, Model, Transport};

/// Beyond it trust codes are refused (Cisco's troubleshooting of NX-OS).
const CLOCK_MAY_DIFFER: u64 = 60 * 60;
/// The name that a device looks up for CSLU where no address is configured.
const DEFAULT_CSLU: &str = "cslu-local";

pub(super) fn find(scan: &mut Scan<'_>, about: &About<'_>) {
    clock_skew(scan, about);
    let Some(state) = &about.instance.state else { return };
    match state.model {
        Model::Slp => {
            authorization_missing(scan, about, state);
            trust_missing(scan, about, state);
            cslu_unresolvable(scan, about, state);
        }
        Model::ClassicSmartLicensing
        | Model::SpecificLicenseReservation
        | Model::PermanentLicenseReservation
        | Model::Traditional
        | Model::Disabled => scan.tell(about, Kind::NotSlp, || not_slp(about.instance, state.model)),
        Model::Unknown => {}
    }
    out_of_compliance(scan, about, state);
}

fn not_slp(instance: &Instance, model: Model) -> Told {
    let runs = match model {
        Model::ClassicSmartLicensing => "it runs classic Smart Licensing",
        Model::SpecificLicenseReservation => "it holds a specific licence reservation",
        Model::PermanentLicenseReservation => "it holds a permanent licence reservation",
        Model::Traditional => "it runs traditional licences (PAK, right to use, honour)",
        Model::Disabled => "Smart Licensing is disabled on it",
        Model::Slp | Model::Unknown => "it runs another model",
    };
    let software = instance.software.as_ref().map_or_else(String::new, |software| format!(", on software {software}"));
    Told::new(format!("{runs}{software}"))
}

fn clock_skew(scan: &mut Scan<'_>, about: &About<'_>) {
    let Some(skew) = about.instance.clock_skew_seconds else { return };
    let by = skew.unsigned_abs();
    if by > CLOCK_MAY_DIFFER {
        scan.tell(about, Kind::ClockSkew, || {
            let (days, hours, minutes) = (by / 86_400, by / 3600 % 24, by / 60 % 60);
            let side = if skew > 0 { "ahead of" } else { "behind" };
            Told::new(format!("its clock was {days} d {hours} h {minutes} min {side} ours when it was last compared"))
        });
    }
}

/// Claimed only where the device printed its codes, and only of a licence whose enforcement it printed. Where a code is
/// installed and what it allows is not listed, it may allow this.
fn authorization_missing(scan: &mut Scan<'_>, about: &About<'_>, state: &DeviceState) {
    let Some(printed) = &state.authorizations else { return };
    let lacking =
        || state.licenses.iter().filter(|license| needs_code(license) && !is_allowed(license, printed, state));
    if lacking().next().is_none() {
        return;
    }
    scan.tell(about, Kind::AuthorizationMissing, || {
        let named = |license: &License| {
            let name = license.name.as_deref().unwrap_or("a licence without a name");
            let enforcement = license.enforcement.as_deref().or(license.license_type.as_deref()).unwrap_or_default();
            format!("{name} ({enforcement}, count {})", license.count.unwrap_or_default())
        };
        let names: Vec<String> = lacking().map(|license| named(license)).collect();
        let codes = if printed.codes.is_empty() { "no code is installed" } else { "no installed code names it" };
        Told::new(format!("in use and in need of an authorization code: {}; {codes}", names.join(", ")))
            .with(names.into_iter().map(Evidence::Printed))
    });
}

fn needs_code(license: &License) -> bool {
    license.in_use()
        && match license.class() {
            Some(LicenceClass::Export | LicenceClass::Enforced) => true,
            Some(LicenceClass::Perpetual | LicenceClass::Subscription) | None => false,
        }
}

fn is_allowed(license: &License, printed: &Authorizations, state: &DeviceState) -> bool {
    let Authorizations { codes, allowed } = printed;
    let tag = |tag: &Option<crate::domain::report::EntitlementTag>| tag.as_ref().map(|tag| tag.0.to_string());
    let own = [license.name.clone(), tag(&license.entitlement_tag), license.description.clone()];
    let same = |others: [Option<String>; 3]| {
        let mut others = others.into_iter().flatten();
        others.any(|other| own.iter().flatten().any(|own| own.eq_ignore_ascii_case(&other)))
    };
    let named = allowed.iter().any(|one| same([one.name.clone(), tag(&one.entitlement_tag), one.description.clone()]));
    let reserved =
        state.reserved.iter().any(|one| same([one.name.clone(), tag(&one.entitlement_tag), one.description.clone()]));
    let listed = !allowed.is_empty() || state.reserved.iter().any(|one| one.name.is_some());
    named || reserved || !codes.is_empty() && !listed
}

/// Classic Smart Licensing and the right to upgrade of IOS XR; under SLP the device has no such word.
fn out_of_compliance(scan: &mut Scan<'_>, about: &About<'_>, state: &DeviceState) {
    let printed = || {
        let statuses = state.licenses.iter().filter(|_| state.model != Model::Slp).filter_map(|license| {
            let status = license.status.as_deref()?;
            status.eq_ignore_ascii_case("out of compliance").then_some((license.name.as_deref(), status))
        });
        state.compliance.breaches().map(|words| (None, words)).chain(statuses)
    };
    if printed().next().is_none() {
        return;
    }
    scan.tell(about, Kind::OutOfCompliance, || {
        let words = |(name, words): (Option<&str>, &str)| {
            name.map_or_else(|| words.to_owned(), |name| format!("{name}: {words}"))
        };
        let words: Vec<String> = printed().map(words).collect();
        Told::new(format!("the device says '{}'", words.join("', '"))).with(words.into_iter().map(Evidence::Printed))
    });
}

/// `smart` and `callhome` speak to Cisco, who wants a code. CSLU and On-Prem need none of IOS XE and NX-OS. Cisco asks
/// IOS XR for one within 90 days, whatever the transport; where this collector reports, none should be needed
/// (inferred), so that it is asked for only where another reports.
fn trust_missing(scan: &mut Scan<'_>, about: &About<'_>, state: &DeviceState) {
    let Some(kind) = state.transport.as_ref().and_then(|transport| transport.kind.as_deref()) else { return };
    let others = about.device.is_some_and(|device| device.reporter != Reporter::Collector);
    let on_xr = about.instance.os.as_deref() == Some("ios-xr");
    let needed = matches!(kind, "smart" | "callhome") || kind == "cslu" && on_xr && others;
    // Where trust was told there is a policy too: the models of IOS XR tell neither.
    let told = state.policy.is_some();
    if needed && told && state.trust_codes.iter().all(|code| code.installed.is_none()) {
        scan.tell(about, Kind::TrustMissing, || {
            Told::new(format!("its transport is '{kind}', and no chassis has a trust code"))
                .with([Evidence::Printed("Trust Code Installed: <none>".to_owned())])
        });
    }
}

fn cslu_unresolvable(scan: &mut Scan<'_>, about: &About<'_>, state: &DeviceState) {
    let Some(transport) = state.transport.as_ref().filter(|transport| transport.kind.as_deref() == Some("cslu")) else {
        return;
    };
    // One that has reported has found somebody.
    if has_address(transport) || state.usage_reporting.last_push.is_some() {
        return;
    }
    scan.tell(about, Kind::CsluUnresolvable, || {
        let fix = if about.is_ours() { "license smart transport off" } else { "license smart url cslu URL" };
        let address = match &transport.url {
            None => "no address is configured".to_owned(),
            Some(url) => format!("the address is the default '{url}'"),
        };
        let printed = transport.url.as_ref().map_or_else(String::new, |url| format!(", Cslu address: {url}"));
        Told::new(format!(
            "its transport is 'cslu', {address}, and it never reported by itself; on the device: `{fix}`"
        ))
        .with([Evidence::Printed(format!("Type: cslu{printed}"))])
    });
}

fn has_address(transport: &Transport) -> bool {
    let Some(url) = transport.url.as_deref() else { return false };
    let host = url.split_once("://").map_or(url, |(_, rest)| rest).split([':', '/']).next().unwrap_or_default();
    !host.eq_ignore_ascii_case(DEFAULT_CSLU)
}
