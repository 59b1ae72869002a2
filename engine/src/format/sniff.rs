//! Which shipped source schema a page is likely of, from its first bytes.
//!
//! Only what is certain is answered: the root element, and the first child of the first metadata element. Where a page
//! starts with nothing but deleted records, the request that it repeats tells what was asked for.

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

use super::encoding::PageText;

const MARC: &str = "http://www.loc.gov/MARC21/slim";
const MODS: &str = "http://www.loc.gov/mods/v3";

/// The source schema that the page, unpacked, most likely is of; `start` is its first 16 KiB or more.
pub fn sniff(start: &[u8]) -> Option<&'static str> {
    let text = PageText::decode(start);
    let trimmed = text.as_str().trim_start();
    match trimmed.as_bytes().first()? {
        b'{' | b'[' => Some("json"),
        b'<' => Sniffer::default().run(trimmed),
        _ => None,
    }
}

#[derive(Default)]
struct Sniffer {
    /// What the request asked for.
    asked: Option<&'static str>,
    /// Depth of the element whose first child decides.
    parent: Option<usize>,
    depth: usize,
    /// The root is one that OAI records are found in.
    oai: bool,
    root: String,
}

/// What an element tells.
enum Verdict {
    Schema(Option<&'static str>),
    ReadOn,
}

impl Sniffer {
    fn run(mut self, text: &str) -> Option<&'static str> {
        let mut reader = NsReader::from_str(text);
        // An error is most likely the end of what was given; what has been learned by then counts.
        while let Ok((resolved, event)) = reader.read_resolved_event() {
            let ns = match resolved {
                ResolveResult::Bound(ns) => ns.into_inner().trim_end_matches('/'),
                ResolveResult::Unbound | ResolveResult::Unknown(_) => "",
            };
            match &event {
                Event::Start(tag) | Event::Empty(tag) => {
                    if let Verdict::Schema(schema) = self.element(ns, tag) {
                        return schema;
                    }
                    if matches!(event, Event::Start(_)) {
                        self.depth += 1;
                    }
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    self.parent = self.parent.filter(|&parent| self.depth > parent);
                }
                Event::Eof => break,
                _ => {}
            }
        }
        if self.oai { Some(self.asked.unwrap_or("oai_dc")) } else { None }
    }

    fn element(&mut self, ns: &str, tag: &BytesStart<'_>) -> Verdict {
        let local = tag.local_name();
        let local: &str = local.as_ref();
        if self.depth == 0 {
            return self.root(ns, local);
        }
        match local {
            "request" if self.depth == 1 => {
                let prefix = tag.try_get_attribute("metadataPrefix").ok().flatten();
                self.asked = prefix.and_then(|prefix| asked(&prefix.value));
            }
            "metadata" | "recordData" if self.parent.is_none() => self.parent = Some(self.depth),
            "leader" | "controlfield" if self.root == "record" || self.root == "collection" => return Verdict::Schema(Some("marcxml")),
            _ if self.parent.is_some_and(|parent| parent + 1 == self.depth) => return Verdict::Schema(self.metadata(ns, local)),
            _ => {}
        }
        Verdict::ReadOn
    }

    fn root(&mut self, ns: &str, local: &str) -> Verdict {
        local.clone_into(&mut self.root);
        Verdict::Schema(match (ns, local) {
            (MARC, "record" | "collection") => Some("marcxml"),
            (MODS | "", "mods" | "modsCollection") => Some("mods"),
            (_, "dc") => Some("oai_dc"),
            (_, "qualifieddc" | "qdc" | "dcterms") => Some("oai_qdc"),
            (_, "OAI-PMH" | "ListRecords" | "repository" | "record") => {
                self.oai = local == "OAI-PMH";
                return Verdict::ReadOn;
            }
            (_, "searchRetrieveResponse" | "collection") => return Verdict::ReadOn,
            _ => None,
        })
    }

    fn metadata(&self, ns: &str, local: &str) -> Option<&'static str> {
        match (ns, local) {
            (MARC, _) => Some("marcxml"),
            (MODS | "", "mods") if self.root == "searchRetrieveResponse" => Some("mods"),
            (MODS | "", "mods") => Some("oai_mods"),
            (_, "dc") => Some("oai_dc"),
            (_, "qualifieddc" | "qdc" | "dcterms") => Some("oai_qdc"),
            _ => None,
        }
    }
}

/// The schema behind a metadataPrefix. The names are the server's own, these are the usual ones.
fn asked(prefix: &str) -> Option<&'static str> {
    match prefix {
        "oai_dc" => Some("oai_dc"),
        "oai_qdc" | "qdc" | "dcterms" | "oai_dcterms" => Some("oai_qdc"),
        "mods" | "oai_mods" => Some("oai_mods"),
        "marcxml" | "marc21" | "oai_marc" | "marc" => Some("marcxml"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_or_the_first_metadata_decides() {
        assert_eq!(sniff(b" [1]"), Some("json"));
        assert_eq!(sniff(b"id,title\n"), None);
        assert_eq!(sniff(b"<collection xmlns='http://www.loc.gov/MARC21/slim'>"), Some("marcxml"));
        assert_eq!(sniff(b"<record><leader/></record>"), Some("marcxml"));
        assert_eq!(sniff(b"<m:mods xmlns:m='http://www.loc.gov/mods/v3'/>"), Some("mods"));
        assert_eq!(sniff(b"<repository><record><header/><metadata>\n<oai_dc:dc xmlns:oai_dc='x'/>"), Some("oai_dc"));
        assert_eq!(sniff(b"<OAI-PMH><ListRecords><record><metadata><mods xmlns='http://www.loc.gov/mods/v3'>"), Some("oai_mods"));
        assert_eq!(sniff(b"<OAI-PMH><ListRecords><record><metadata><didl xmlns='urn:x'>"), None);
        assert_eq!(sniff(b"<ead/>"), None);
        assert_eq!(sniff(b"<html><body>"), None);
    }

    #[test]
    fn deleted_records_leave_the_request_to_tell() {
        let page = b"<OAI-PMH><request metadataPrefix='mods'/><ListRecords><record><header status='deleted'/></record>";
        assert_eq!(sniff(page), Some("oai_mods"));
        assert_eq!(sniff(b"<OAI-PMH><ListRecords><record><header/></record>"), Some("oai_dc"));
    }

    #[test]
    fn utf_16_is_read_too() {
        let page: Vec<u8> = "<?xml version='1.0'?><dc/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(sniff(&page), Some("oai_dc"));
    }
}
