//! The names by which a conductor knows an agent's failures.

/// A class of failure. Its name, code and message are contract (IPA's
/// `errors.py`): a conductor shows the message and decides by the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// A command ended in a way no other class names.
    CommandExecution,
    /// The command's name is malformed or unknown.
    InvalidCommand,
    /// The command's parameters are refused.
    InvalidCommandParams,
    /// The request itself is malformed.
    InvalidContent,
    /// An extension or a command result does not exist.
    RequestedObjectNotFound,
    /// Another command is running.
    AgentIsBusy,
    /// An image could not be downloaded.
    ImageDownload,
    /// An image is not the one that was asked for.
    ImageChecksum,
    /// An image could not be written.
    ImageWrite,
    /// An image is refused for what it is.
    InvalidImage,
    /// The machine would not reboot or power off.
    SystemReboot,
    /// A disk was not erased.
    BlockDeviceErase,
    /// A disk could not be used.
    BlockDevice,
    /// No disk satisfies the root device hints.
    DeviceNotFound,
    /// No code serves this step.
    HardwareManagerMethodNotFound,
    /// The steps a conductor knows are another agent's.
    VersionMismatch,
    /// A clean step failed.
    Cleaning,
    /// A deploy step failed.
    Deployment,
    /// A service step failed.
    Servicing,
    /// A disk that must not be touched would have been.
    ProtectedDevice,
    /// The config drive is refused or could not be written.
    ConfigDrive,
}

impl ErrorClass {
    /// Every class, for tables and tests.
    pub const ALL: &'static [ErrorClass] = &[
        Self::CommandExecution,
        Self::InvalidCommand,
        Self::InvalidCommandParams,
        Self::InvalidContent,
        Self::RequestedObjectNotFound,
        Self::AgentIsBusy,
        Self::ImageDownload,
        Self::ImageChecksum,
        Self::ImageWrite,
        Self::InvalidImage,
        Self::SystemReboot,
        Self::BlockDeviceErase,
        Self::BlockDevice,
        Self::DeviceNotFound,
        Self::HardwareManagerMethodNotFound,
        Self::VersionMismatch,
        Self::Cleaning,
        Self::Deployment,
        Self::Servicing,
        Self::ProtectedDevice,
        Self::ConfigDrive,
    ];

    /// Name, code and message, as IPA writes them.
    const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::CommandExecution => ("CommandExecutionError", 500, "Command execution failed"),
            Self::InvalidCommand => ("InvalidCommandError", 400, "Invalid command"),
            Self::InvalidCommandParams => ("InvalidCommandParamsError", 400, "Invalid command parameters"),
            Self::InvalidContent => ("InvalidContentError", 400, "Invalid request body"),
            Self::RequestedObjectNotFound => ("RequestedObjectNotFoundError", 404, "Not found"),
            Self::AgentIsBusy => ("AgentIsBusy", 409, "Agent is busy"),
            Self::ImageDownload => ("ImageDownloadError", 500, "Error downloading image"),
            Self::ImageChecksum => ("ImageChecksumError", 500, "Error verifying image checksum"),
            Self::ImageWrite => ("ImageWriteError", 500, "Error writing image to device"),
            Self::InvalidImage => ("InvalidImage", 500, "Error: The image is not valid"),
            Self::SystemReboot => ("SystemRebootError", 500, "Error rebooting system"),
            Self::BlockDeviceErase => ("BlockDeviceEraseError", 500, "Error erasing block device"),
            Self::BlockDevice => ("BlockDeviceError", 500, "Block device caused unknown error"),
            Self::DeviceNotFound => {
                ("DeviceNotFound", 404, "Error finding the disk or partition device to deploy the image onto")
            }
            Self::HardwareManagerMethodNotFound => {
                ("HardwareManagerMethodNotFound", 500, "No HardwareManager found to handle method")
            }
            Self::VersionMismatch => (
                "VersionMismatch",
                409,
                "Hardware managers version mismatch, reload agent with correct version",
            ),
            Self::Cleaning => ("CleaningError", 500, "Clean step failed"),
            Self::Deployment => ("DeploymentError", 500, "Deploy step failed"),
            Self::Servicing => ("ServicingError", 500, "Service step failed"),
            Self::ProtectedDevice => {
                ("ProtectedDeviceError", 500, "Protected device located, cannot proceed")
            }
            Self::ConfigDrive => ("ConfigDriveTooLargeError", 500, "Error writing config drive"),
        }
    }

    /// The class name, such as `CleaningError`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The code, an HTTP status where the failure travels as one.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.row().1
    }

    /// The class's message, such as `Clean step failed`.
    #[must_use]
    pub const fn message(self) -> &'static str {
        self.row().2
    }
}
