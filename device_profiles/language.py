"""The keys of a profile's YAML: which there are, what each is for, and one example. The loader takes the lists of keys from here and the
reference page is made of them, so that neither can know a key that the other does not.
"""

from __future__ import annotations

from types import MappingProxyType

from tillwatch.device_profiles.model import Test

Keys = MappingProxyType[str, tuple[str, str]]
"""key -> what it is for, an example."""


def _keys(**keys: tuple[str, str]) -> Keys:
    return MappingProxyType({name.rstrip("_"): value for name, value in keys.items()})


TOP = _keys(
    title=("What family of devices this is, for people.", "title: APC UPS with a PowerNet card"),
    extends=(
        (
            "Profiles or mixins (`_name`) whose scalars and tables this one takes over, in that order. An item of its own with the same part and "
            "signal, or a table with the same group, replaces the inherited one. `title`, `generic`, `match` and `with` are never inherited."
        ),
        "extends: [_base, rfc1628]",
    ),
    maker=(
        "Who makes the family: `identity.maker` of its devices, unless an item reads it out of them.",
        "maker: APC",
    ),
    generic=(
        "`true` for a standard MIB: used where no specific profile matches, or beside one that names it in `with`.",
        "generic: true",
    ),
    match=(
        "Rules of which one must hold. A specific profile needs sysObjectID or sysDescr in each; a generic one matches by `present` alone.",
        "match: [{sysObjectID: 1.3.6.1.4.1.318.1.3}]",
    ),
    with_=(
        "Generic profiles that stand beside this specific one on every device that they match by their own rules.",
        "with: [if-mib, host-resources]",
    ),
    optional=(
        "`true`: no scalar of this file is missed where a device does not have it. A row's items are never missed.",
        "optional: true",
    ),
    sentinels=(
        "Raw values that are no reading, for every item of this file that does not give its own. `a..b` is a span.",
        "sentinels: [-1, 65535, -999..-273, N/A]",
    ),
    scalars=(
        "Items with `oid`, which ends in the instance.",
        "scalars: [{signal: ups.battery.charge, oid: 1.3.6.1.2.1.33.1.2.4.0}]",
    ),
    tables=(
        "Tables: one component a row.",
        "tables: [{group: fan, entry: 1.3.6.1.4.1.9.9.13.1.4.1, label: 2, items: [...]}]",
    ),
)
MATCH = _keys(
    sysObjectID=(
        "Prefix of sysObjectID, by whole numbers. The longest that matches wins.",
        "sysObjectID: 1.3.6.1.4.1.318.1.3.27",
    ),
    sysDescr=("Regular expression searched in sysDescr.", "sysDescr: '^Lantronix SLS'"),
    present=(
        "OIDs of which each, or one beneath it, must answer. One that ends in `.0` costs no request of its own.",
        "present: 1.3.6.1.2.1.33.1.2",
    ),
)
TABLE = _keys(
    group=("What the rows are: the component of a row is `<device>/<group>:<label>`.", "group: disk"),
    entry=("OID of the row (xxxEntry): columns can then be written as numbers.", "entry: 1.3.6.1.4.1.232.3.2.5.1.1"),
    columns=(
        "Words for columns: a number under `entry`, or a full OID.",
        "columns: {name: 3, value: 6, unit: 1.3.6.1.4.1.1.5}",
    ),
    label=(
        (
            "Columns, the first that is not empty, for the row's name; none: the index. It must be what stays when indexes move. A text with braces joins "
            "columns and `{index}`, `{index.1}` (the first number of the index). A mapping looks into another table: `{column: C, by: D}` where the value of D is "
            "the index, `{column: C, parts: [1, 2]}` where numbers of the row's own index (from 1) are. An OID that ends in `.0` is a scalar, such as sysName."
        ),
        "label: ['{bay} {box}', {column: 1.3.6.1.2.1.47.1.1.1.1.7, by: physical}, name]",
    ),
    label_pattern=(
        "Regular expression whose one group is the label; where it does not match, the whole text is.",
        "label_pattern: '^(.*?)(?: SN\\S+)?$'",
    ),
    where=(
        "Conditions; rows that fail are left out.",
        "where: [{column: type, in: [8, 9]}, {column: status, not_in: 6}]",
    ),
    present=(
        "Collect only where this OID, or one beneath it that is read, answers, or the table has rows.",
        "present: 1.3.6.1.2.1.43",
    ),
    items=(
        "Items with `column`, each a signal of every row that has it.",
        "items: [{signal: sensor.temperature, column: 3}]",
    ),
    collect=(
        "Items about all rows together, given to the device: the worst word of a state, all texts, or how many rows there are.",
        "collect: [{signal: printer.alert, column: 2, none: none, words: {3: critical}}]",
    ),
)
FIELD = _keys(
    oid=(
        "Of a scalar, with its instance. In a table it may stand for `column` where a scalar is meant.",
        "oid: 1.3.6.1.2.1.33.1.2.4.0",
    ),
    column=("Of a table: a word of `columns`, a number under `entry`, or a full OID.", "column: value"),
    divisor=("The raw number is divided by it.", "divisor: 10"),
    multiplier=("The raw number is multiplied by it.", "multiplier: 1024"),
    offset=("Added after divisor and multiplier.", "offset: -100"),
    raw_unit=(
        (
            "The device's unit where it is not the catalogue's: converted. Or a column that says it, with what its values stand for: a value whose unit "
            "is another quantity than the signal's is no reading of this signal, so that several items can share one column."
        ),
        "raw_unit: F   or   raw_unit: {column: unit, is: {1: C, 2: F, 3: K, 4: '%'}}",
    ),
    form=(
        "How the raw value holds its number: `number`; `duration` (`d days hh:mm:ss`, `hh:mm:ss`, `mm:ss`, in s); `float` (IEEE 754 octets); `age` (days since a date, in d).",
        "form: duration",
    ),
    date=(
        "How a date is written, the first that fits: yyyy yy mm dd mon, or DateAndTime (SNMPv2-TC octets). A text signal becomes yyyy-mm-dd.",
        "date: [mm/dd/yyyy, mm/dd/yy, DateAndTime]",
    ),
    pattern=("Regular expression whose one group holds the number, the text or the code.", "pattern: '([-\\d.]+) *F'"),
    sentinels=("Raw values that are no reading, in place of the file's list. `a..b` is a span.", "sentinels: [0, -1]"),
    scale=("Column with the scale of ENTITY-SENSOR-MIB (9 units, 8 milli, 10 kilo).", "scale: scale"),
    precision=("Column with the number of decimals; a negative one moves nothing.", "precision: precision"),
    plus=("Columns or OIDs whose raw numbers are added.", "plus: [cached]"),
    minus=("Columns or OIDs whose raw numbers are subtracted.", "minus: [free]"),
    percent_of=(
        "The value is 100 times itself by the sum of these raw numbers; no reading where that is not above 0.",
        "percent_of: [used, free]",
    ),
    multiply_by=("Multiplied by the value of this column.", "multiply_by: units"),
    unsigned32=("`true`: a negative number is a 32-bit one that overflowed.", "unsigned32: true"),
    wraps=(
        "32 or 64: the bits at which this counter wraps. The agent joins the turns while sysUpTime says that the device ran on.",
        "wraps: 32",
    ),
    per=(
        (
            "s, min, h or d: how much the number rose since the reading before, per this time by sysUpTime. No reading where there is none before it or the "
            "device restarted in between. With `wraps` the wrap of a counter is joined."
        ),
        "per: s",
    ),
    rescale_above=("A raw number beyond it is ten times too large, whatever the MIB says.", "rescale_above: 1000"),
    when=("Conditions; where they fail, this is not the place to look.", "when: [{column: unit, in: 16}]"),
)
WORDS = _keys(
    words=(
        "Raw value, or span of numbers, and the signal's word for it. Text in any case. What is not listed becomes `unknown` or `other`, if the signal has it.",
        "words: {1: ok, 2..4: warning, failed: critical}",
    ),
    yes=("Short for `words` of a truth value: the word for 1 (yes, true, on).", "yes: failed"),
    no=("The word for 2, 0, no, false and off.", "no: none"),
    patterns=("Regular expression searched in the text, and the word.", "patterns: {'(?i)^registered': registered}"),
    bits=(
        "Octets: number of the bit, from 0 at the highest of the first octet, and the word.",
        "bits: {1: noPaper, 5: jammed}",
    ),
    masks=(
        "Integers: holds where raw & mask == is (left out: the mask itself).",
        "masks: [{mask: 7, is: 3, word: broken}, {mask: 16, word: critical}]",
    ),
    flags=("A text of 0 and 1: position, from 1, and the word.", "flags: {2: onBattery, 3: lowBattery}"),
    none=("The word where no bit, mask or flag holds, or no row is collected.", "none: none"),
    overrides=(
        "The first whose conditions hold replaces the word.",
        "overrides: [{word: adminDown, when: [{column: admin, in: 2}]}]",
    ),
)
OWN = _keys(
    kind=("Of an `experimental.` signal: gauge, counter, state, text.", "kind: gauge"),
    unit=("Of an `experimental.` signal, of the catalogue's units.", "unit: V"),
    meaning=("Of an `experimental.` signal.", "meaning: acidity of the ink"),
    states=(
        "Of an `experimental.` state: word and severity (ok, warn, crit, unknown).",
        "states: {good: ok, bad: crit}",
    ),
    axis=(
        (
            "Of an `experimental.` signal: `fitness` (the default) for whether the part works, `supply` for what it uses up or fills, `security` for whether "
            "somebody got at it; or the words of a state that are of another axis than fitness. A component's axes are judged apart."
        ),
        "axis: security   or   axis: {supply: [lowPaper, noPaper]}",
    ),
)
ITEM = _keys(
    signal=(
        "A name of catalogue.yaml, which says its unit, kind and words; or `experimental.<anything>`.",
        "signal: ups.battery.charge",
    ),
    first_of=(
        "Places to look, the first valid one wins. Each has keys of a field where they differ from the item's.",
        "first_of: [{oid: ...3.1.0, divisor: 10}, {oid: ...2.1.0}]",
    ),
    texts=("For a text signal: raw value and what it means.", "texts: {1: WCDMA, 2: LTE}"),
    all=("A text signal that takes every word that holds, where `signal` takes the worst.", "all: printer.error.all"),
    limits=("What judges a number.", "limits: {warn_above: 35, crit_above: 45}"),
    poll=("fast, normal or slow; text is slow and the rest normal by default.", "poll: fast"),
    optional=("`true`: devices without it are not ill; the default is the file's.", "optional: true"),
    part=("The component of a scalar: `<device>/<part>`; in a table it stands in place of the group.", "part: probe"),
    absent=("What a sentinel means: ignore (the default), unknown or fault.", "absent: fault"),
    life=(
        "Rated life of the part that the item is about.",
        "life: {source: calendar, rated: 4, unit: years, evidence: APC FA158934, confidence: doc}",
    ),
)
LIMITS = _keys(
    warn_below=(
        (
            "A number; or where the device says it: a column or OID, scaled as the value unless it gives its own keys; `else`: where the device says none; "
            "`find`: conditions, for a table of limits whose index begins with this row's: the first of its rows for which they hold."
        ),
        "warn_below: {column: low, sentinels: [0], else: 5}",
    ),
    crit_below=("The same, further out.", "crit_below: 2"),
    warn_above=("The same, upwards.", "warn_above: {column: upper_warning}"),
    crit_above=("The same, further out.", "crit_above: {column: upper_critical, divisor: 1}"),
    while_=("Conditions; while they fail, the number is ok.", "while: [{oid: 1.3.6.1.2.1.33.1.2.2.0, above: 0}]"),
)
CONDITION = _keys(
    oid=("A scalar.", "{oid: 1.3.6.1.2.1.33.1.2.2.0, above: 0}"),
    column=("A column of the row; `index` is the row's index as text.", "{column: index, matches: '^0\\.'}"),
    in_=("The value is one of these (=).", "in: [1, ok]"),
    not_in=("It is none of these, or is not there (!=).", "not_in: [6]"),
    above=("It is a number above (>).", "above: 0"),
    below=("It is a number below (<).", "below: 100"),
    matches=("The regular expression is found in it.", "matches: '^/var'"),
    lacks=("It is there and the regular expression is not found in it.", "lacks: '(?i)unused'"),
    exists=("`true`: it is there; `false`: it is not.", "exists: true"),
)
LIFE = _keys(
    source=("counter, hours, calendar or device_percent.", "source: calendar"),
    rated=("The figure; left out where none is known: a part without one has a trend and no percentage.", "rated: 4"),
    unit=("Of `rated`: a unit or what is counted.", "unit: years"),
    stress=(
        "Heat ages: at T, 2^((T - ref_c) / halve_every_k) times as fast.",
        "stress: {ref_c: 25, halve_every_k: 10}",
    ),
    evidence=("The document that says so.", "evidence: Epson TM-H6000III specification p. 1-28"),
    confidence=("doc or assumed.", "confidence: doc"),
)
STRESS = _keys(
    ref_c=("Degrees C of the rated life.", "ref_c: 25"), halve_every_k=("Degrees that halve it.", "halve_every_k: 10")
)
OVERRIDE = _keys(
    profile=("The profile, or left out for all.", "profile: rfc1628"),
    signal=("The signal.", "signal: ups.battery.temperature"),
    part=("Group of the table or part; left out for all.", "part: output"),
    limits=("Takes the place of the profile's, edge by edge; `none` takes them away.", "limits: {warn_above: 30}"),
    name=("How the bank calls it: shown beside the component's name, which stays.", "name: battery room"),
    life=(
        "Takes the place of the profile's, key by key; of a profile that gives no life, with the other keys as another profile has them for this signal.",
        "life: {rated: 3, evidence: our own records, confidence: doc}",
    ),
)
TESTS = tuple(test.value for test in Test)
SECTIONS = (
    (
        "A file",
        "One YAML file, one family of devices. Files whose name begins with `_` are mixins: they match nothing and are extended.",
        TOP,
    ),
    ("match", "All that a rule says must hold.", MATCH),
    ("A table", "", TABLE),
    (
        "An item",
        "One signal. Beside these keys it has those of a field, of words for a state, and of its own kind for an `experimental.` signal.",
        ITEM,
    ),
    ("A field", "Where the value stands and what makes it a number.", FIELD),
    ("Words of a state", "", WORDS),
    ("An experimental signal", "", OWN),
    ("limits", "", LIMITS),
    ("A condition", "One place and one test.", CONDITION),
    ("life", "", LIFE),
    ("stress", "", STRESS),
    ("overrides.yaml", "A list. It changes limits, names and life figures of shipped profiles for one bank.", OVERRIDE),
)
