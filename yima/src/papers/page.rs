//! The page that is printed: HTML without scripts and without anything from elsewhere. Codes are vectors, so they are as
//! sharp as the printer.

use std::io::{self, Write};

use fast_qr::convert::Builder;
use fast_qr::convert::svg::SvgBuilder;
use fast_qr::{ECL, QRBuilder};
use yima_schema::time::DAY;

use super::Printed;
use crate::cli::PaperLayout;

const STYLE: &str = "
@page { size: A4; margin: 12mm }
body { margin: 0; font: 10pt/1.35 'Noto Sans CJK SC', 'Noto Sans SC', 'PingFang SC', 'Microsoft YaHei', sans-serif; color: #000 }
section { break-inside: avoid; box-sizing: border-box }
svg { display: block; width: 100%; height: auto; shape-rendering: crispEdges }
h1 { margin: 0; font-size: 1.5em } p { margin: 0 } small { font-size: 0.85em }
.who { font-size: 1.3em; font-weight: bold; overflow-wrap: anywhere } .number { font-family: monospace }
.a4 section { break-after: page; padding: 10mm 0; text-align: center } .a4 .qr { width: 120mm; margin: 8mm auto }
.a4 { font-size: 14pt }
.card main { display: grid; grid-template-columns: repeat(2, 85.6mm); gap: 2mm }
.card section { width: 85.6mm; height: 54mm; padding: 2mm; border: 0.2mm dashed #777; border-radius: 3mm; overflow: hidden;
  display: grid; grid-template-columns: 48mm 1fr; gap: 2mm; align-items: center; font-size: 7pt }
";

pub fn begin(page: &mut impl Write, layout: PaperLayout) -> io::Result<()> {
    let class = match layout {
        PaperLayout::A4 => "a4",
        PaperLayout::Card => "card",
    };
    write!(
        page,
        "<!doctype html>\n<html lang=\"zh-Hans\"><meta charset=\"utf-8\"><title>健康码 · Health code</title>\n\
         <style>{STYLE}</style>\n<body class=\"{class}\"><main>\n"
    )
}

/// Adds a code. The last day that is printed is one on which the code is valid to its end, in every time zone.
pub fn add(page: &mut impl Write, printed: &Printed) -> io::Result<()> {
    let Printed { code, number, paper, expires_at } = printed;
    let qr =
        QRBuilder::new(code.as_str()).ecl(ECL::L).build().map_err(|_| io::Error::other("a code fits a QR code"))?;
    let svg = SvgBuilder::default().margin(4).to_str(&qr);
    let last_day = expires_at.minus(DAY * 2).to_string();
    let last_day = last_day.split('T').next().unwrap_or_default();
    let groups: Vec<_> = (0..4).rev().map(|n| format!("{:04x}", number >> (16 * n) & 0xffff)).collect();
    let text = |text: &Option<String>| escaped(text.as_deref().unwrap_or_default());
    writeln!(
        page,
        "<section><div class=\"qr\">{svg}</div><div><h1>健康码 <small>Health code</small></h1>\n\
         <p class=\"who\"><bdi>{name}</bdi> <bdi>{document}</bdi></p>\n\
         <p>须与证件一同核验<br><small>Valid only together with the identity document</small></p>\n\
         <p>有效至 <small>valid to</small> {last_day}</p>\n\
         <p><small>编号 No.</small> <span class=\"number\">{number}</span></p></div></section>",
        name = text(&paper.name),
        document = text(&paper.document),
        number = groups.join(" "),
    )
}

pub fn end(page: &mut impl Write) -> io::Result<()> {
    writeln!(page, "</main></body></html>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
