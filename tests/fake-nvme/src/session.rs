//! A host's connection to a queue of a drive, from its greeting to its end.

use std::{collections::BTreeMap, io, net::TcpStream, sync::Arc};

use crate::{
    Drive, admin,
    command::{Answer, Command, Failure},
    fabric::{Connect, Properties},
    io as blocks,
    link::Link,
};

const FABRICS: u8 = 0x7f;
const PROPERTY_SET: u8 = 0x00;
const CONNECT: u8 = 0x01;
const PROPERTY_GET: u8 = 0x04;
const ASYNC_EVENT: u8 = 0x0c;
/// The controller number that asks for a new one.
const NEW: u16 = 0xffff;

/// The drives by the names of their subsystems.
pub(crate) type Drives = Arc<BTreeMap<String, Drive>>;

/// A queue that is connected.
struct Queue {
    drive: Drive,
    subsystem: String,
    number: u16,
    controller: u16,
    properties: Properties,
}

/// Serve until the host goes, or the power.
pub(crate) fn serve(drives: &Drives, stream: TcpStream) -> io::Result<()> {
    let own = stream.try_clone()?;
    let mut link = Link::open(stream)?;
    let (command, data) = link.next()?;
    let mut queue = match connect(drives, &command, &data) {
        Ok(queue) => queue,
        Err(failure) => return link.answer(&command, 0, &[], Err(failure)),
    };
    {
        let mut drive = queue.drive.lock();
        if !drive.powered {
            return Ok(());
        }
        drive.connected(own);
    }
    link.answer(&command, queue.number, &[], Ok(queue.controller.into()))?;
    loop {
        let (command, data) = link.next()?;
        if queue.number == 0 && command.opcode() == ASYNC_EVENT {
            continue; // Answered when there is an event, and there is none.
        }
        let outcome = queue.run(&command, &data);
        if !queue.drive.lock().powered {
            return Ok(());
        }
        let data = outcome.as_ref().map(|answer| answer.data.clone()).unwrap_or_default();
        link.answer(&command, queue.number, &data, outcome.map(|answer| answer.result))?;
    }
}

fn connect(drives: &Drives, command: &Command, data: &[u8]) -> Result<Queue, Failure> {
    if command.opcode() != FABRICS || command.u8(4) != CONNECT {
        return Err(Failure::INVALID_FIELD);
    }
    let asked = Connect::parse(command, data)?;
    let drive = drives.get(&asked.subsystem).ok_or(Failure::INVALID_CONNECT)?.clone();
    let controller = match (asked.queue, asked.controller) {
        (0, NEW) => drive.lock().new_controller(),
        (0, _) => return Err(Failure::INVALID_CONNECT),
        (_, controller) => controller,
    };
    let properties = Properties::default();
    Ok(Queue { drive, subsystem: asked.subsystem, number: asked.queue, controller, properties })
}

impl Queue {
    fn run(&mut self, command: &Command, data: &[u8]) -> Result<Answer, Failure> {
        match (command.opcode(), self.number) {
            (FABRICS, 0) => match command.u8(4) {
                PROPERTY_GET => self.properties.get(command),
                PROPERTY_SET => self.properties.set(command),
                _ => Err(Failure::INVALID_OPCODE),
            },
            (_, 0) => admin::run(&mut self.drive.lock(), &self.subsystem, self.controller, command, data),
            (_, _) => blocks::run(&mut self.drive.lock(), command, data),
        }
    }
}
