//! Thousands of answers in one archive: kept in few writes, told one by one, and nothing new the second time.

use jiff::Timestamp;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{BundleMade, BundleUpload, BundledReport, Fact};
use slp_collector::domain::instance::Udi;
use slp_collector::domain::report::ReportId;
use slp_collector::exchange::archive::{gzip, tar};
use slp_collector::flow::homeward::{self, TakenAs};
use slp_collector::flow::{Clock, House};

use super::{POLICY, nameless_ack};
use crate::support::made;
use crate::support::site::Site;

const ANSWERS: u64 = 3000;

fn udi(index: u64) -> Udi {
    Udi::new("C9300-48U", format!("9INVENT{index:05}"))
}

fn uploaded(index: u64) -> String {
    format!("SAR_dev-{index:05}_{}.txt", udi(index).sn)
}

/// A ledger that knows so many devices, and one bundle with a report of each.
fn house(site: &Site) -> House {
    let house = House::new(site.config(), site.ledger(), Clock::of(Timestamp::now));
    let identified = |index| made::identified(&format!("dev-{index:05}"), "s-1", udi(index));
    let bundled = |index| BundledReport {
        udi: udi(index),
        report_id: ReportId(1000 + index),
        payload_sha256: Sha256::of(&index.to_be_bytes()),
    };
    let bundle = BundleMade {
        bundle_id: "b1".to_owned(),
        nonce: "00".to_owned(),
        site: None,
        manifest_sha256: Sha256::ZERO,
        name: "exchange-b1".to_owned(),
        uploads: (0..ANSWERS).map(|index| BundleUpload { name: uploaded(index), udi: Some(udi(index)) }).collect(),
        reports: (0..ANSWERS).map(bundled).collect(),
        previous_bundle_id: None,
    };
    let facts = (0..ANSWERS).map(identified).chain([Fact::BundleMade(bundle)]).collect();
    house.ledger.append(house.clock.now(), facts, Vec::new()).unwrap();
    house
}

#[test]
fn an_archive_of_thousands_of_answers_takes_few_writes_and_is_nothing_new_again() {
    let site = Site::new(Vec::new());
    let house = house(&site);
    // By the name of the upload alone; each has bytes of its own.
    let answer = |index: u64| (format!("ACK_{}", uploaded(index)), nameless_ack(&[1000 + index]).into_bytes());
    let mut members: Vec<(String, Vec<u8>)> = (0..ANSWERS).map(answer).collect();
    // The same bytes once more, something that nobody can place, and something that is no answer.
    members.push(("ZZ_again.txt".to_owned(), answer(7).1));
    members.push(("ZZ_policy.txt".to_owned(), POLICY.as_bytes().to_vec()));
    members.push(("ZZ_torn.txt".to_owned(), b"<smartLicense>".to_vec()));
    let archive = gzip(&tar(&members).unwrap()).unwrap();
    let import = || homeward::import(&house, vec![("ACK_UD_SA_x.tar.gz".to_owned(), archive.clone())]).unwrap();

    let before = house.ledger.standing().seq;
    let taken = import();
    let written = house.ledger.standing().seq - before;
    assert!((1..=5).contains(&written), "{ANSWERS} answers took {written} batches");
    assert_eq!(taken.len(), members.len());
    let (answers, others) = taken.split_at(ANSWERS.try_into().unwrap());
    for (index, taken) in (0..).zip(answers) {
        assert_eq!((&taken.result, &taken.udi), (&TakenAs::Accepted, &Some(udi(index))), "{taken:?}");
    }
    assert_eq!((&others[0].result, &others[0].udi), (&TakenAs::Known, &Some(udi(7))), "{:?}", others[0]);
    assert!(matches!(others[1].result, TakenAs::Quarantined(_)), "{:?}", others[1]);
    assert!(matches!(others[2].result, TakenAs::Unreadable(_)), "{:?}", others[2]);
    {
        let fleet = house.ledger.fleet();
        assert_eq!(fleet.answers.len(), members.len() - 2);
        let placed = fleet.answers.values().filter(|answer| answer.bundle_id.as_deref() == Some("b1"));
        assert!(placed.clone().all(|answer| answer.reports.len() == 1) && placed.count() == answers.len());
        assert!(fleet.bundles["b1"].answered.is_some());
    }
    for taken in answers.iter().step_by(500) {
        assert!(house.ledger.object(&taken.object.unwrap()).unwrap().is_some(), "{taken:?}");
    }

    let before = house.ledger.standing().seq;
    let again = import();
    assert_eq!(house.ledger.standing().seq, before, "nothing is new");
    assert!(again[..answers.len()].iter().all(|taken| taken.result == TakenAs::Known));
    assert!(matches!(again[answers.len() + 1].result, TakenAs::Quarantined(_)));
}

#[test]
fn large_answers_share_a_write_only_as_far_as_one_may_hold() {
    let site = Site::new(Vec::new());
    let house = house(&site);
    let large = |index: u64| {
        let padded =
            nameless_ack(&[1000 + index]).replace("<smartLicense>", &format!("<smartLicense>{}", " ".repeat(3 << 20)));
        (format!("ACK_{}", uploaded(index)), padded.into_bytes())
    };
    let before = house.ledger.standing().seq;
    let taken = homeward::import(&house, (0..3).map(large).collect()).unwrap();
    assert!(taken.iter().all(|taken| taken.result == TakenAs::Accepted), "{taken:?}");
    assert_eq!(house.ledger.standing().seq - before, 3);
}
