"""Language names and codes: ISO 639-1 where it exists, else ISO 639-3, with English names."""

# The languages Whisper, espeak-ng and M2M100 know, code and English name.
_TABLE = """
af afrikaans|am amharic|ar arabic|as assamese|az azerbaijani|ba bashkir|be belarusian|bg bulgarian
bn bengali|bo tibetan|br breton|bs bosnian|ca catalan|cs czech|cy welsh|da danish|de german|el greek
en english|eo esperanto|es spanish|et estonian|eu basque|fa persian|fi finnish|fo faroese|fr french
ga irish|gd gaelic|gl galician|gn guarani|gu gujarati|ha hausa|he hebrew|hi hindi|hr croatian
ht haitian|hu hungarian|hy armenian|ia interlingua|id indonesian|is icelandic|it italian|ja japanese
jv javanese|ka georgian|kk kazakh|km khmer|kn kannada|ko korean|ku kurdish|ky kyrgyz|la latin
lb luxembourgish|ln lingala|lo lao|lt lithuanian|lv latvian|mg malagasy|mi maori|mk macedonian
ml malayalam|mn mongolian|mr marathi|ms malay|mt maltese|my myanmar|ne nepali|nl dutch|nn nynorsk
no norwegian|oc occitan|or oriya|pa punjabi|pl polish|ps pashto|pt portuguese|qu quechua|ro romanian
ru russian|sa sanskrit|sd sindhi|si sinhala|sk slovak|sl slovenian|sn shona|so somali|sq albanian
sr serbian|su sundanese|sv swedish|sw swahili|ta tamil|te telugu|tg tajik|th thai|tk turkmen
tl tagalog|tn setswana|tr turkish|tt tatar|uk ukrainian|ur urdu|uz uzbek|vi vietnamese|yi yiddish
yo yoruba|yue cantonese|zh chinese|cmn mandarin|haw hawaiian|chr cherokee|grc ancient greek
ast asturian|ceb cebuano|ff fulah|fy western frisian|ig igbo|ilo iloko|lg ganda|nso northern sotho
ss swati|wo wolof|xh xhosa|zu zulu
"""
NAMES: dict[str, str] = dict(
    entry.split(" ", 1) for entry in _TABLE.strip().replace("\n", "|").split("|")
)
_CODES = {name: code for code, name in NAMES.items()} | {
    "castilian": "es",
    "flemish": "nl",
    "burmese": "my",
    "farsi": "fa",
    "mandarin chinese": "zh",
    "valencian": "ca",
}

# ISO 639-3 (and 639-2/B, where it differs) for those that have two letters as well.
_THREE_LETTERS = """
afr af|amh am|ara ar|asm as|aze az|azj az|bak ba|bel be|bul bg|ben bn|bod bo|bre br|bos bs|cat ca
ces cs|cze cs|cym cy|wel cy|dan da|deu de|ger de|ell el|gre el|eng en|epo eo|spa es|est et|eus eu
baq eu|fas fa|per fa|fin fi|fao fo|fra fr|fre fr|gle ga|gla gd|glg gl|grn gn|guj gu|hau ha|heb he
hin hi|hrv hr|hat ht|hun hu|hye hy|arm hy|ina ia|ind id|isl is|ice is|ita it|jpn ja|jav jv|kat ka
geo ka|kaz kk|khm km|kan kn|kor ko|kur ku|kmr ku|kir ky|lat la|ltz lb|lin ln|lao lo|lit lt|lav lv
mlg mg|mri mi|mao mi|mkd mk|mac mk|mal ml|mon mn|mar mr|msa ms|zlm ms|may ms|mlt mt|mya my|bur my
nep ne|npi ne|nld nl|dut nl|nno nn|nor no|nob no|oci oc|ori or|ory or|pan pa|pol pl|pus ps|por pt
que qu|ron ro|rum ro|rus ru|san sa|snd sd|sin si|slk sk|slo sk|slv sl|sna sn|som so|sqi sq|alb sq
srp sr|sun su|swe sv|swa sw|swh sw|tam ta|tel te|tgk tg|tha th|tuk tk|tgl tl|tsn tn|tur tr|tat tt
ukr uk|urd ur|uzb uz|vie vi|yid yi|yor yo|zho zh|chi zh|ful ff|fry fy|ibo ig|lug lg|ssw ss
wol wo|xho xh|zul zu
"""
_SHORTER: dict[str, str] = {
    code: shorter
    for code, _, shorter in (
        entry.partition(" ") for entry in _THREE_LETTERS.strip().replace("\n", "|").split("|")
    )
}


def language_code(text: str) -> str | None:
    """The lower-case code for a code (two letters where there are such), a locale (`en-US`,
    `pt_BR`) or an English name; the region is dropped. None for an unknown language.
    """
    folded = text.strip().lower().replace("_", "-")
    code = folded.partition("-")[0]
    code = _SHORTER.get(code, code)
    if code in NAMES:
        return code
    return _CODES.get(folded)


def language_name(code: str) -> str:
    """The English name of a code, the code itself when it has none here."""
    return NAMES.get(code, code).title()
