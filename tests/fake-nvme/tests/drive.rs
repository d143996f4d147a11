//! The drive as a host sees it over TCP; what a kernel makes of it is told in the guest's tests.

mod host;

use fake_nvme::{Drive, Faults, Namespace, Server, Spec, Status};
use host::{Ask, Host};

const BLOCK: u32 = 2;
const CRYPTO: u32 = 4;
const ALLOW_UNRESTRICTED: u32 = 1 << 3;
const SECRET: &[u8] = b"a tenant's secret. ";

/// A drive in a folder of its own, holding secrets everywhere, and its server.
struct House {
    server: Server,
    drive: Drive,
    folder: tempfile::TempDir,
    spec: Spec,
}

impl House {
    fn of(spec: Spec) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let drive = Drive::new(folder.path(), spec.clone());
        for one in &spec.namespaces {
            drive.plant(one.id, SECRET);
        }
        let server = Server::start([("one", drive.clone())]);
        Self { server, drive, folder, spec }
    }

    fn with(faults: Faults) -> Self {
        let namespaces = vec![Namespace::of_mib(1, 2), Namespace::of_mib(0xb, 1).unattached()];
        Self::of(Spec { namespaces, faults, ..Spec::default() })
    }

    fn admin(&self) -> Host {
        Host::connect(&self.server, "one", 0, 0xffff).expect("connected")
    }

    fn queue(&self, admin: &Host) -> Host {
        Host::connect(&self.server, "one", 1, admin.controller).expect("connected")
    }

    fn holds_secrets(&self, id: u32) -> bool {
        self.drive.content(id).windows(SECRET.len()).any(|bytes| bytes == SECRET)
    }
}

fn identify(cns: u32, nsid: u32) -> Ask {
    Ask { opcode: 0x06, nsid, cdw10: cns, reads: 4096, ..Ask::default() }
}

fn sanitize(action: u32) -> Ask {
    Ask { opcode: 0x84, cdw10: action | ALLOW_UNRESTRICTED, ..Ask::default() }
}

/// Progress, status and the "nothing written since" of log page 81h.
fn log(host: &mut Host) -> (u16, u16, bool) {
    let ask = Ask { opcode: 0x02, nsid: u32::MAX, cdw10: 0x81 | 127 << 16, reads: 512, ..Ask::default() };
    let page = host.ask(ask, &[]).expect("connected").expect("a page");
    assert_eq!(page.len(), 512);
    let status = u16::from_le_bytes([page[2], page[3]]);
    (u16::from_le_bytes([page[0], page[1]]), status & 0b111, status >> 8 & 1 == 1)
}

fn done(host: &mut Host, ask: Ask) -> Result<(), u16> {
    host.ask(ask, &[]).expect("connected").map(drop)
}

fn read(block: u32) -> Ask {
    Ask { opcode: 0x02, nsid: 1, cdw10: block, cdw12: 7, reads: 4096, ..Ask::default() }
}

#[test]
fn it_says_what_it_is() {
    let house = House::with(Faults::default());
    let mut admin = house.admin();
    let mut ask = |cns, nsid| admin.ask(identify(cns, nsid), &[]).expect("connected");
    let controller = ask(1, 0).expect("a controller");
    assert_eq!(&controller[4..12], b"FAKE0001");
    assert_eq!((controller[328], controller[524], controller[256]), (0b111, 0b100, 0b1010));
    let ids = |page: Vec<u8>| page.chunks(4).map(|id| id[0]).take_while(|id| *id != 0).collect::<Vec<_>>();
    assert_eq!(ids(ask(0x02, 0).expect("a list")), [1]);
    assert_eq!(ids(ask(0x10, 0).expect("a list")), [1, 0xb]);
    assert_eq!(ask(0, 1).expect("a namespace")[..8], 4096_u64.to_le_bytes());
    assert_eq!(ask(0, 0xb).expect("inactive")[..8], [0; 8]);
    assert_eq!(ask(0x42, 0).expect_err("no such page"), 0x02);
    let queues = Ask { opcode: 0x09, cdw10: 7, ..Ask::default() };
    assert_eq!(done(&mut admin, queues), Ok(()), "a feature without data");
    assert_eq!(Host::connect(&house.server, "two", 0, 0xffff).err(), Some(Some(0x182)));
}

#[test]
fn what_is_written_is_read_and_is_in_the_file() {
    let house = House::with(Faults { unwritable: 1 << 20..2 << 20, ..Faults::default() });
    let admin = house.admin();
    let mut queue = house.queue(&admin);
    for (start, length) in [(8, 4096), (16, 64 << 10)] {
        let data: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).expect("a byte")).collect();
        let blocks = u32::try_from(length / 512).expect("small") - 1;
        let write = Ask { opcode: 0x01, nsid: 1, cdw10: start, cdw12: blocks, ..Ask::default() };
        queue.ask(write, &data).expect("connected").expect("written");
        let back = Ask { opcode: 0x02, reads: u32::try_from(length).expect("small"), ..write };
        assert!(queue.ask(back, &[]).expect("connected").expect("read") == data, "{start}");
        let at = start as usize * 512;
        assert!(house.drive.content(1)[at..at + length] == data, "in the file");
    }
    let write = Ask { opcode: 0x08, nsid: 1, cdw10: 8, cdw12: 7, ..Ask::default() };
    done(&mut queue, write).expect("zeroed");
    assert_eq!(house.drive.content(1)[4096..8192], [0; 4096]);
    assert_eq!(done(&mut queue, Ask { cdw10: 2048, ..write }), Err(0x280), "unwritable");
    assert_eq!(done(&mut queue, Ask { cdw10: 4095, ..write }), Err(0x80), "past the end");
}

#[test]
fn a_sanitize_goes_on_poll_by_poll_and_takes_everything() {
    let house = House::with(Faults::default());
    let mut admin = house.admin();
    let mut queue = house.queue(&admin);
    done(&mut admin, sanitize(BLOCK)).expect("begun");
    assert_eq!(done(&mut queue, read(0)), Err(0x1d));
    assert_eq!(done(&mut admin, sanitize(BLOCK)), Err(0x1d));
    assert_eq!(log(&mut admin), (0x4000, 2, false));
    assert!(house.holds_secrets(1) && house.drive.content(1)[..1 << 19] == vec![0; 1 << 19]);
    assert_eq!((log(&mut admin).0, log(&mut admin).0), (0x8000, 0xc000));
    assert_eq!(log(&mut admin), (0xffff, 1, true));
    assert!(!house.holds_secrets(1) && !house.holds_secrets(0xb), "also what no host sees");
    assert_eq!(house.drive.erases()[0], (0x84, BLOCK | ALLOW_UNRESTRICTED));
    queue.ask(read(0), &[]).expect("connected").expect("it reads again");
    done(&mut admin, sanitize(CRYPTO)).expect("begun");
    while log(&mut admin).1 == 2 {}
    let noise = house.drive.content(1);
    assert!(noise.chunks(8).all(|word| word != [0; 8]), "as noise");
}

#[test]
fn a_failed_sanitize_refuses_until_it_is_left_or_another_is_well() {
    let house = House::with(Faults { failing_sanitizes: 2, ..Faults::default() });
    let mut admin = house.admin();
    let mut queue = house.queue(&admin);
    let mut fails = |action| {
        done(&mut admin, action).expect("begun");
        while log(&mut admin).1 == 2 {}
        assert_eq!(log(&mut admin).1, 3);
    };
    fails(sanitize(BLOCK));
    assert!(house.holds_secrets(1), "what fails leaves something");
    assert_eq!(done(&mut queue, read(0)), Err(0x1c));
    fails(Ask { cdw10: BLOCK, ..sanitize(BLOCK) });
    let leave = sanitize(1);
    assert_eq!(done(&mut admin, leave), Err(0x1c), "in restricted mode there is no way back");
    assert_eq!(done(&mut admin, sanitize(BLOCK)), Err(0x1c), "nor any but the same again");
    done(&mut admin, Ask { cdw10: BLOCK, ..sanitize(BLOCK) }).expect("begun");
    while log(&mut admin).1 == 2 {}
    assert_eq!(house.drive.status(), Status::Done);
    queue.ask(read(0), &[]).expect("connected").expect("it reads again");
}

#[test]
fn what_failed_can_be_left() {
    let house = House::with(Faults { failing_sanitizes: 1, ..Faults::default() });
    let mut admin = house.admin();
    done(&mut admin, sanitize(BLOCK)).expect("begun");
    while log(&mut admin).1 == 2 {}
    done(&mut admin, sanitize(1)).expect("left");
    let mut queue = house.queue(&admin);
    queue.ask(read(0), &[]).expect("connected").expect("it reads again");
}

#[test]
fn a_power_loss_ends_nothing_but_the_connections() {
    let house = House::with(Faults { loses_power_at_poll: Some(2), ..Faults::default() });
    let mut admin = house.admin();
    done(&mut admin, sanitize(BLOCK)).expect("begun");
    log(&mut admin);
    assert!(admin.ask(identify(1, 0), &[]).is_some());
    let poll = Ask { opcode: 0x02, nsid: u32::MAX, cdw10: 0x81 | 127 << 16, reads: 512, ..Ask::default() };
    assert!(admin.ask(poll, &[]).is_none(), "cut off");
    let mut admin = house.admin();
    assert_eq!(log(&mut admin), (0xc000, 2, false), "it went on");
    drop(admin);
    // The same drive in another life.
    let House { server, drive, folder, spec } = house;
    drop((server, drive));
    let again = Drive::new(folder.path(), spec);
    let server = Server::start([("one", again.clone())]);
    let mut admin = Host::connect(&server, "one", 0, 0xffff).expect("connected");
    assert_eq!(log(&mut admin), (0xffff, 1, true));
    assert_eq!(again.content(1), vec![0; 2 << 20]);
}

#[test]
fn without_power_nobody_is_served() {
    let house = House::with(Faults { dies_at_poll: Some(1), ..Faults::default() });
    let mut admin = house.admin();
    done(&mut admin, sanitize(BLOCK)).expect("begun");
    let poll = Ask { opcode: 0x02, nsid: u32::MAX, cdw10: 0x81 | 127 << 16, reads: 512, ..Ask::default() };
    assert!(admin.ask(poll, &[]).is_none(), "cut off");
    assert_eq!(Host::connect(&house.server, "one", 0, 0xffff).err(), Some(None), "off");
    house.drive.power_on();
    assert_eq!(log(&mut house.admin()).1, 2, "it goes on");
}

#[test]
fn every_lie_is_told() {
    let liar = House::with(Faults { lies: true, ..Faults::default() });
    let mut admin = liar.admin();
    done(&mut admin, sanitize(BLOCK)).expect("begun");
    while log(&mut admin).1 == 2 {}
    let format = |ses: u32| Ask { opcode: 0x80, nsid: 1, cdw10: ses << 9, ..Ask::default() };
    done(&mut admin, format(1)).expect("said to be done");
    assert!(liar.drive.status() == Status::Done && liar.holds_secrets(1), "nothing changed");
    let stands = House::with(Faults { stalls_at_poll: Some(2), ..Faults::default() });
    let mut admin = stands.admin();
    done(&mut admin, sanitize(BLOCK)).expect("begun");
    assert!((0..10).all(|_| log(&mut admin) == (0x4000, 2, false)), "it stands still");
    let refuses = House::with(Faults { refuses_sanitize: true, ..Faults::default() });
    assert_eq!(done(&mut refuses.admin(), sanitize(BLOCK)), Err(0x02));
}

#[test]
fn a_format_erases_what_its_attributes_say() {
    let two = vec![Namespace::of_mib(1, 1), Namespace::of_mib(10, 1).in_4k()];
    let format = |nsid, ses: u32, lbaf| Ask { opcode: 0x80, nsid, cdw10: ses << 9 | lbaf, ..Ask::default() };
    for (fna, faults, ask, outcome, left) in [
        (0b000, Faults::default(), format(1, 1, 0), Ok(()), (false, true)),
        (0b010, Faults::default(), format(1, 1, 0), Ok(()), (false, false)),
        (0b000, Faults::default(), format(10, 1, 1), Ok(()), (true, false)),
        (0b000, Faults::default(), format(10, 1, 0), Err(0x10a), (true, true)),
        (0b000, Faults::default(), format(1, 2, 0), Err(0x02), (true, true)),
        (0b100, Faults::default(), format(1, 2, 0), Ok(()), (false, true)),
        (0b000, Faults { takes_any_ses: true, ..Faults::default() }, format(1, 2, 0), Ok(()), (true, true)),
        (0b000, Faults { failing_formats: 1, ..Faults::default() }, format(1, 1, 0), Err(0x06), (true, true)),
        (0b000, Faults::default(), format(7, 1, 0), Err(0x0b), (true, true)),
    ] {
        let house = House::of(Spec { namespaces: two.clone(), fna, faults, ..Spec::default() });
        assert_eq!(done(&mut house.admin(), ask), outcome, "{fna:#b} {:#x}", ask.cdw10);
        assert_eq!((house.holds_secrets(1), house.holds_secrets(10)), left, "{fna:#b} {:#x}", ask.cdw10);
    }
}
