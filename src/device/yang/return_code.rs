//! The return codes of the licensing agent (`error-enum` of the models of IOS XE; IOS XR shares the numbers).
//!
//! Names and numbers are the model's; the words are ours and stand only where they help somebody.

/// Name and words of each code, by its number. After the last one comes `max`, which marks the end.
const CODES: [(&str, &str); 145] = [
    ("success", "done"),
    ("malloc", "the agent is out of memory"),
    ("nullpointer", ""),
    ("error3", ""),
    ("error4", ""),
    ("error5", ""),
    ("BadInputParams", "a parameter of the call is wrong"),
    ("error7", ""),
    ("badhandle", ""),
    ("notfound", "what was asked for is not there, or there is nothing to save"),
    ("notsupported", "this operation is not supported in the present mode"),
    ("alreadyinit", "the agent is already running"),
    ("notinit", "the agent is not running yet"),
    ("smfailtocreate", ""),
    ("smfailtorun", ""),
    ("smfailtoinit", ""),
    ("smfailtodestroy", ""),
    ("msgparse", "the file or message cannot be read"),
    ("msgbuild", ""),
    ("notenabled", "Smart Licensing is not enabled"),
    ("invalidrequest", "the agent refuses this request"),
    ("init", "the agent could not start; the device's log says why"),
    ("failtosetstate", ""),
    ("unsupportedresponse", ""),
    ("invalidresponse", "the answer is of an unknown kind"),
    ("storagefailtostore", "the trusted store could not be written"),
    ("storagefailtoretrieve", "the trusted store could not be read"),
    ("nullccoidtoken", ""),
    ("matchidentifier", "the file is meant for another product instance"),
    ("matchvendor", "the file is for another vendor"),
    ("matchnonce", "the file answers another request"),
    ("commdisabled", "the transport is switched off"),
    ("commsend", "sending failed, probably for a time only"),
    ("commresponse", ""),
    ("communkown", ""),
    ("smpostnotallow", ""),
    ("reqmsgmissingmandatoryfield", "a field is missing in the request"),
    ("responsefailed", "the other side reports a failure; the device's log says which"),
    ("pinotinit", ""),
    ("alreadyenabled", ""),
    ("alreadyregistered", "already registered"),
    ("certinvalid", "the certificate is not valid"),
    ("certexpired", "the certificate has expired"),
    ("notregistered", "not registered"),
    ("csrgenerationfailed", ""),
    ("verifysignaturefailed", "the signature of the file does not hold"),
    ("generatesignaturefailed", ""),
    ("signcertverificationfailed", "the signing certificate does not verify"),
    ("nodecertverificationfailed", ""),
    ("parsecertificatefailed", "the certificate cannot be read"),
    ("cryptorootcaimportfailed", ""),
    ("taginvalid", "the entitlement tag is not valid"),
    ("standby", "this is the standby: ask the active one"),
    ("registrationinprogress", "a registration is under way"),
    ("commretry", ""),
    ("authrenewinprogress", "a renewal of the authorization is under way"),
    ("idcertrenewinprogress", "a renewal of the certificate is under way"),
    ("noudichange", ""),
    ("callhomeserviceoff", ""),
    ("msgexecinprogress", "another message is being handled"),
    ("msgexecinproglocked", "another message is being handled"),
    ("certmatchessubsetudis", ""),
    ("storagegroupchangeincomplete", ""),
    ("storagemgmtnotinit", ""),
    ("tspathnotchanged", ""),
    ("cryptoinitnotcompleted", ""),
    ("notinunidentified", ""),
    ("platformpathinvalid", "the path is not valid on this platform"),
    ("platformudiinvalid", "the platform's UDI is not valid"),
    ("storageobjfailtocreate", ""),
    ("storageobjfailtoerase", ""),
    ("storageobjdoesnotexist", "the file or stored object is not there"),
    ("messageeventexceedspeer", ""),
    ("codevalidationfailed", "the code does not fit this device"),
    ("reserved", "not possible under a permanent reservation"),
    ("noreservationinprogress", ""),
    ("noauthorizationinstalled", "no authorization code is installed"),
    ("reservationmismatch", ""),
    ("notreservationmode", "not in reservation mode"),
    ("reservationerror", "a reservation failed; the device's display says why"),
    ("sysmgrinit", ""),
    ("alreadyexists", "it is there already"),
    ("listinsertfailed", ""),
    ("sessionmgmtnotinit", ""),
    ("listinitfailed", ""),
    ("listbusy", "busy"),
    ("noclients", ""),
    ("ipc", ""),
    ("ipcopen", ""),
    ("ipcinit", ""),
    ("ipcconnect", ""),
    ("ipcevents", ""),
    ("ipcmgmt", ""),
    ("ipcsend", ""),
    ("ipcreceive", ""),
    ("ipctimeout", "no answer inside the device in time"),
    ("enqueuefailed", ""),
    ("dequeuefailed", ""),
    ("shuttingdown", "the agent is shutting down"),
    ("couldnotvalidatetrustchain", "the chain of trust cannot be verified"),
    ("reservationalreadyinstalled", ""),
    ("reservationinstallparsefail", ""),
    ("base64encoding", ""),
    ("base64decoding", "the file is not valid base64"),
    ("invalidsoftwareidtag", ""),
    ("certificatemismatch", "development certificates meet production roots"),
    ("noreservation", ""),
    ("agentunreachable", "the licensing agent does not answer"),
    ("ignoreevent", ""),
    ("b58overflow", ""),
    ("b58decode", ""),
    ("b58badlen", ""),
    ("b58invdigit", ""),
    ("b58decodeoverflow", ""),
    ("reservationversionoutofbound", ""),
    ("base58encode", ""),
    ("duplicatedentry", ""),
    ("missingentry", ""),
    ("badpeerinfoformat", ""),
    ("badapplicationhaattributedataset", ""),
    ("reservationinprogress", ""),
    ("xdmcreatehandle", ""),
    ("versionmismatchinentitlementrsp", ""),
    ("harolenotsupported", "not possible in this role"),
    ("apphainvalidcharacter", ""),
    ("apphaaddpeerfromsamedevice", ""),
    ("apphaappduplicatedinstance", ""),
    ("versionmismatchinregresponse", ""),
    ("conversionnocb", ""),
    ("conversionnotallowed", ""),
    ("conversioninprogress", ""),
    ("conversionalreadystarted", ""),
    ("conversionnotenabled", ""),
    ("versionconversionnotsupported", ""),
    ("noconversioninprogress", ""),
    ("cryptoversionmismatch", ""),
    ("conversionstoppedpartially", ""),
    ("utilityenabled", ""),
    ("utilitynotenabled", ""),
    ("transportnotavailable", "no transport is available"),
    ("fqdn", "the own domain name is not known"),
    ("thirdparty", "the transport in use cannot do this"),
    ("transporttype", "the transport this needs is not configured"),
    ("requesteditemnotfound", "what was asked for is not there"),
    ("noreservationauthcode", "no reservation code is installed"),
];

/// What a device returned from a licensing RPC. Anything but [`ReturnCode::is_success`] is a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnCode {
    /// The model's name; the device's own word where the model has none.
    pub name: String,
    pub number: Option<u16>,
}

impl ReturnCode {
    /// By name, or by number where a device prints that.
    pub fn read(word: &str) -> ReturnCode {
        let word = word.trim();
        let word = word.rsplit_once(':').map_or(word, |(_, name)| name);
        let number = CODES.iter().position(|(name, _)| *name == word).or_else(|| {
            let number: usize = word.parse().ok()?;
            (number < CODES.len()).then_some(number)
        });
        let name = number.and_then(|number| CODES.get(number)).map_or(word, |(name, _)| name);
        ReturnCode { name: name.to_owned(), number: number.and_then(|number| u16::try_from(number).ok()) }
    }

    pub fn is_success(&self) -> bool {
        self.number == Some(0)
    }

    /// In our words; empty where the name says all there is.
    pub fn words(&self) -> &'static str {
        self.number.and_then(|number| CODES.get(usize::from(number))).map_or("", |(_, words)| words)
    }

    /// May the same call work later without anybody acting?
    pub fn is_transient(&self) -> bool {
        TRANSIENT.contains(&self.name.as_str())
    }
}

const TRANSIENT: [&str; 13] = [
    "notinit",
    "registrationinprogress",
    "authrenewinprogress",
    "idcertrenewinprogress",
    "msgexecinprogress",
    "msgexecinproglocked",
    "cryptoinitnotcompleted",
    "listbusy",
    "ipcconnect",
    "ipcsend",
    "ipcreceive",
    "ipctimeout",
    "agentunreachable",
];

impl std::fmt::Display for ReturnCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        self.number.map_or(Ok(()), |number| write!(f, " {number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_known_by_name_and_by_number() {
        let code = ReturnCode::read(" notfound\n");
        assert_eq!((code.number, code.to_string().as_str()), (Some(9), "notfound 9"));
        assert_eq!(ReturnCode::read("28"), ReturnCode::read("matchidentifier"));
        assert!(ReturnCode::read("success").is_success() && !ReturnCode::read("successful").is_success());
        let unknown = ReturnCode::read("brand-new");
        assert_eq!((unknown.to_string().as_str(), unknown.words()), ("brand-new", ""));
        assert_eq!(ReturnCode::read("max").number, None);
        assert_eq!(ReturnCode::read("145").number, None);
        assert!(TRANSIENT.iter().all(|name| ReturnCode::read(name).number.is_some()));
        assert_eq!(CODES[144].0, "noreservationauthcode");
    }
}
