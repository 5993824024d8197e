// The file of a terminal: rated lives, parts and versions beside its device file, serial numbers, notes, keys and terminals like it. Vue escapes every text.
const EVERY = 30000; // ms between two looks; what somebody changes here shows at once
const LIKE = 300000; // of terminals like it: the whole fleet is compared
const FEW = 6;
const LONG = ["notes"];
const LIFE_CYCLE = ["in_service", "not_commissioned", "spare", "repair", "retired"];
const GROUPS = [
  ["identity", ["asset_no", "maker", "model", "serial"]],
  ["custody", ["place", "address", "custody", "installed"]],
  ["purchase", ["bought", "supplier", "order_no", "warranty_until"]],
  ["service", ["contract", "service_interval_days", "last_service", "inspection_interval_days", "last_inspection", "notes"]],
];
const PROTECTED = ["serial", "serials", "address"];
const DATES = ["installed", "bought", "warranty_until", "last_service", "last_inspection"];
const DAYS = ["service_interval_days", "inspection_interval_days"];

export default {
  template: `
    <div class="tw-dossier">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="!d && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
      <div v-if="d" class="tw-dossier-split">
        <div>
          <section class="tw-section" id="tw-file">
            <div class="tw-dossier-head"><h2>{{ t("asset.title") }}</h2><button v-if="may('see_protected') && hides && !form" type="button" class="tw-button tw-reveal" :disabled="busy" @click="reveal">{{ t("asset.reveal") }}</button><button v-if="may('plan') && !form" type="button" class="tw-button" @click="edit">{{ t("asset.edit") }}</button></div>
            <p v-if="problem && !form" class="tw-problem" role="alert">{{ problem }}</p>
            <ul v-if="d.dues.length && !form" class="tw-dues">
              <li v-for="due in d.dues" :key="due.on + due.kind" :class="'tw-due-' + urgency(due)"><b>{{ t("due." + due.kind) }}</b> <span>{{ dueText(due) }}</span> <span class="tw-faint">{{ day(due.on) }}<template v-if="due.last"> · {{ t("due.last", { at: day(due.last) }) }}</template></span>
                <button v-if="may('plan') && due.kind !== 'warranty'" type="button" class="tw-button tw-due-done" :disabled="busy" @click="done(due)">{{ t("due.done_today") }}</button></li>
            </ul>
            <p v-if="!form && !filled.length" class="tw-note">{{ t("asset.empty") }}</p>
            <div v-if="!form && filled.length" class="tw-panel tw-asset">
              <dl v-for="[group, names] in filled" :key="group"><template v-for="name in names" :key="name"><dt>{{ t("asset." + name) }}</dt><dd :class="{ 'tw-masked': masked(name), 'tw-asset-long': long(name) }" :title="masked(name) && !revealed ? t('asset.masked') : ''">{{ shown(name) }}</dd></template></dl>
            </div>
            <form v-if="form" class="tw-panel tw-asset-form" @submit.prevent="save" @keydown.escape="form = null">
              <fieldset v-for="[group, names] in groups" :key="group"><legend>{{ t("assetgroup." + group) }}</legend>
                <label v-for="name in names" :key="name" :class="{ 'tw-asset-wide': long(name) }"><span>{{ t("asset." + name) }}</span>
                  <textarea v-if="long(name)" v-model="form[name]" rows="3" maxlength="2000"></textarea>
                  <input v-else :type="kind(name)" v-model="form[name]" :maxlength="kind(name) === 'text' ? 120 : undefined" min="1" max="3660" :placeholder="masked(name) ? t('asset.keep', { value: f[name] }) : ''" autocomplete="off">
                </label>
                <label v-if="group === 'identity'" class="tw-asset-wide"><span>{{ t("asset.serials") }}</span><input v-model="form.serials" maxlength="4000" :placeholder="f.serials ? t('asset.keep', { value: pairs(f.serials) }) : 'atm/PinPad=EPP-1; printer=PR-5001'" autocomplete="off"></label>
              </fieldset>
              <p v-if="problem" class="tw-problem" role="alert">{{ problem }}</p>
              <p class="tw-faint">{{ t("asset.recorded") }}</p>
              <p class="tw-form-acts"><button type="submit" class="tw-button tw-primary" :disabled="busy">{{ t("asset.save") }}</button> <button type="button" class="tw-button" @click="form = null">{{ t("asset.cancel") }}</button></p>
            </form>
          </section>
          <section v-if="d.serials.length" class="tw-section" id="tw-serials">
            <h2>{{ t("serial.title") }}</h2>
            <p v-if="substituted" class="tw-alert" role="status">{{ t("serial.warning", { n: substituted }) }}</p>
            <table class="tw-table tw-stacked tw-panel">
              <thead><tr><th scope="col">{{ t("serial.device") }}</th><th scope="col">{{ t("serial.listed") }}</th><th scope="col">{{ t("serial.told") }}</th><th scope="col">{{ t("serial.state") }}</th></tr></thead>
              <tbody><tr v-for="s in serials" :key="s.component"><td class="tw-code">{{ s.component }}</td><td class="tw-masked" :data-label="t('serial.listed')">{{ s.listed || "–" }}</td><td class="tw-masked" :data-label="t('serial.told')">{{ s.told || "–" }}</td><td><span class="tw-mark" :class="serialTone(s)">{{ t("serial." + s.state) }}</span></td></tr></tbody>
            </table>
          </section>
          <section class="tw-section" id="tw-notes">
            <h2>{{ t("notes.title") }}</h2>
            <form v-if="may('act')" class="tw-note-form" @submit.prevent="write"><label class="tw-visually-hidden" for="tw-note-text">{{ t("notes.new") }}</label><textarea id="tw-note-text" v-model="note" rows="2" maxlength="2000" :placeholder="t('notes.new')"></textarea><button type="submit" class="tw-button" :disabled="busy || !note.trim()">{{ t("notes.add") }}</button></form>
            <p v-if="noteProblem" class="tw-problem" role="alert">{{ noteProblem }}</p>
            <p v-if="!d.notes.length" class="tw-note">{{ t("notes.none") }}</p>
            <ol v-else class="tw-panel tw-history"><li v-for="n in some(d.notes, 'notes')" :key="n.n"><time>{{ stamp(n.at) }}</time><span><b>{{ n.by }}</b> <span class="tw-asset-long">{{ n.text }}</span></span></li></ol>
            <button v-if="d.notes.length > few" type="button" class="tw-button tw-more" @click="open.notes = !open.notes">{{ more(d.notes, "notes") }}</button>
          </section>
          <section class="tw-section" id="tw-cycle">
            <h2>{{ t("cycle.title") }}</h2>
            <div class="tw-panel tw-cycle">
              <p><b>{{ t("state." + d.life_cycle) }}</b> <span class="tw-faint">{{ t("cycle.enrolled", { at: stamp(d.enrolled_at) }) }}</span></p>
              <form v-if="may('plan')" @submit.prevent="move">
                <label><span>{{ t("cycle.to") }}</span><select v-model="cycle"><option value="">{{ t("cycle.choose") }}</option><option v-for="state in others" :key="state" :value="state">{{ t("state." + state) }}</option></select></label>
                <label class="tw-grow"><span>{{ t("cycle.reason") }}</span><input v-model="reason" maxlength="200" autocomplete="off"></label>
                <button type="submit" class="tw-button" :disabled="busy || !cycle || !reason.trim()">{{ t("cycle.change") }}</button>
              </form>
              <p v-if="cycle && cycle !== 'in_service'" class="tw-faint">{{ t("cycle.silent") }}</p>
              <p v-if="cycleProblem" class="tw-problem" role="alert">{{ cycleProblem }}</p>
            </div>
          </section>
          <section class="tw-section" id="tw-identity">
            <h2>{{ t("keys.title") }}</h2>
            <p v-if="d.identity.two_machines" class="tw-alert" role="status">{{ t("keys.two") }} {{ d.identity.two_machines }}</p>
            <p v-if="d.identity.state === 'revoked'" class="tw-alert" role="status">{{ t("keys.revoked") }} {{ d.identity.why }}</p>
            <div class="tw-panel tw-asset"><dl>
              <template v-for="key in d.identity.keys" :key="key.id"><dt>{{ t("keys.key") }}</dt><dd><span class="tw-code">{{ key.id }}</span> <span class="tw-tag">{{ t("keystate." + key.state) }}</span> <span class="tw-faint">{{ t("timeline.since", { at: stamp(key.since) }) }}<template v-if="key.state === 'retiring'"> · {{ t("keys.proves", { n: key.last_seq }) }}</template></span></dd></template>
              <dt>{{ t("keys.certificate") }}</dt><dd>{{ d.identity.certificate ? t("timeline.since", { at: stamp(d.identity.certificate) }) : t("keys.none") }}</dd>
              <template v-if="d.identity.speakers.length"><dt>{{ t("keys.speakers") }}</dt><dd><span v-for="(s, k) in d.identity.speakers.slice(-3)" :key="k" class="tw-code tw-line">{{ s }}</span></dd></template>
            </dl></div>
          </section>
        </div>
        <div>
          <section class="tw-section" id="tw-lives">
            <h2>{{ t("life.title") }}</h2>
            <p v-if="lives && !lives.length" class="tw-note">{{ t("life.none") }}</p>
            <ol v-if="lives && lives.length" class="tw-panel tw-lives">
              <li v-for="l in some(lives, 'lives')" :key="l.life + l.component">
                <p class="tw-life-head"><b>{{ l.title }}</b> <span class="tw-code">{{ l.component }}</span> <span v-if="l.purpose === 'service'" class="tw-tag">{{ t("life.service") }}</span> <span v-if="l.assumed" class="tw-tag tw-demoted">{{ t("life.assumed") }}</span></p>
                <div v-if="l.share !== null" class="tw-life-bar" role="img" :aria-label="usedText(l)"><i :class="'tw-life-' + wornTone(l)" :style="{ width: Math.min(100, l.share * 100) + '%' }"></i></div>
                <p class="tw-life-text"><a :href="curve(l)">{{ usedText(l) }}</a><span>{{ leftText(l) }}</span><a v-if="l.finding" :href="'/findings/' + encodeURIComponent(l.finding)">{{ t("life.foreseen") }}</a></p>
                <p class="tw-faint tw-life-evidence">{{ l.evidence }}<template v-if="l.celsius !== null"> · {{ t("life.celsius", { c: number(l.celsius) }) }}</template><template v-if="l.since"> · {{ t("life.counted", { at: sinceDay(l.since) }) }}</template></p>
              </li>
            </ol>
            <button v-if="lives && lives.length > few" type="button" class="tw-button tw-more" @click="open.lives = !open.lives">{{ more(lives, "lives") }}</button>
          </section>
          <section class="tw-section" id="tw-repairs">
            <h2>{{ t("repairs.title") }}</h2>
            <p v-if="!d.repairs.length" class="tw-note">{{ t("repairs.none") }}</p>
            <ol v-else class="tw-panel tw-history"><li v-for="(r, k) in some(d.repairs, 'repairs')" :key="k"><time>{{ stamp(r.at) }}</time><span><b v-if="r.part">{{ r.part }}</b> <span class="tw-tag">{{ verdict(r.verdict) }}</span> <a :href="'/incident/' + encodeURIComponent(r.incident)">{{ r.text }}</a> <span class="tw-code">{{ r.component }}</span></span></li></ol>
            <button v-if="d.repairs.length > few" type="button" class="tw-button tw-more" @click="open.repairs = !open.repairs">{{ more(d.repairs, "repairs") }}</button>
          </section>
          <section class="tw-section" id="tw-versions">
            <h2>{{ t("versions.title") }}</h2>
            <p v-if="!d.versions.length" class="tw-note">{{ t("versions.none") }}</p>
            <table v-else class="tw-table tw-stacked tw-panel">
              <thead><tr><th scope="col">{{ t("versions.device") }}</th><th scope="col">{{ t("versions.what") }}</th><th scope="col">{{ t("versions.value") }}</th><th scope="col">{{ t("versions.since") }}</th></tr></thead>
              <tbody><tr v-for="v in some(d.versions, 'versions')" :key="v.component + v.signal"><td class="tw-code">{{ v.component }}</td><td>{{ versionWord(v.signal) }}</td><td><b>{{ v.value }}</b> <span v-if="v.before" class="tw-faint">{{ t("versions.before", { value: v.before }) }}</span></td><td>{{ v.since ? stamp(v.since) : t("versions.longer") }}</td></tr></tbody>
            </table>
            <button v-if="d.versions.length > few" type="button" class="tw-button tw-more" @click="open.versions = !open.versions">{{ more(d.versions, "versions") }}</button>
          </section>
          <section class="tw-section" id="tw-similar">
            <h2>{{ t("similar.title") }}</h2>
            <template v-if="like">
              <p class="tw-similar-said">{{ beside }}</p>
              <p v-if="!like.terminals.length" class="tw-note">{{ t("similar.none") }}</p>
              <table v-else class="tw-table tw-stacked tw-panel">
                <thead><tr><th scope="col">{{ t("fleet.terminal") }}</th><th scope="col">{{ t("similar.shares") }}</th><th scope="col">{{ t("fleet.condition") }}</th><th scope="col" class="tw-number">{{ t("similar.incidents") }}</th><th scope="col">{{ t("similar.risk") }}</th></tr></thead>
                <tbody><tr v-for="s in some(like.terminals, 'similar')" :key="s.id"><td><a class="tw-link" :href="'/terminal/' + encodeURIComponent(s.id)">{{ s.id }}</a> <span class="tw-faint">{{ s.branch }}</span></td><td>{{ s.like.map((one) => t("similar." + one)).join(", ") }}</td><td><span class="tw-chip tw-small" :class="'tw-' + known(s.condition)">{{ condition(s.condition) }}</span></td><td class="tw-number" :data-label="t('similar.incidents')">{{ s.incidents }}</td><td>{{ s.grade ? t("grade." + s.grade) : "–" }}</td></tr></tbody>
              </table>
              <button v-if="like.terminals.length > few" type="button" class="tw-button tw-more" @click="open.similar = !open.similar">{{ more(like.terminals, "similar") }}</button>
            </template>
          </section>
        </div>
      </div>
    </div>`,
  props: { terminal: String },
  data: () => ({ d: null, revealed: null, lives: null, like: null, failed: false, form: null, before: null, problem: "", busy: false, note: "", noteProblem: "", cycle: "", reason: "", cycleProblem: "", open: {}, few: FEW, groups: GROUPS }),
  mixins: [tw.list, tw.seldom(EVERY)],
  computed: {
    f() {
      return this.d.asset.fields;
    },
    hides() {
      return !this.revealed && (PROTECTED.some((name) => this.f[name] !== undefined) || this.d.serials.length > 0);
    },
    serials() {
      return this.revealed?.serials ?? this.d.serials;
    },
    filled() {
      const own = GROUPS.map(([group, names]) => [group, names.filter((name) => this.f[name] !== undefined)]);
      return own.filter(([, names]) => names.length);
    },
    substituted() {
      return this.d.serials.filter((s) => s.state === "differs").length;
    },
    others() {
      return LIFE_CYCLE.filter((state) => state !== this.d.life_cycle);
    },
    beside() {
      const l = this.like;
      const values = { n: l.incidents, model: l.model, count: l.of_model, of_class: l.of_class, usual: l.usual, usual_of_class: l.usual_of_class };
      if (l.of_model) return tw.t("similar.beside_model", values);
      return l.of_class ? tw.t("similar.beside_class", values) : tw.t("similar.alone", values);
    },
  },
  methods: {
    async fetch() {
      const base = `/api/v1/terminals/${encodeURIComponent(this.terminal)}`;
      try {
        [this.d, this.lives] = await Promise.all([tw.json(`${base}/dossier?lang=${window.TW.lang}`), tw.json(`${base}/lives?lang=${window.TW.lang}`)]);
        if (!(Date.now() - this.compared < LIKE)) {
          this.like = await tw.json(`${base}/similar`);
          this.compared = Date.now();
        }
        this.failed = false;
      } catch (error) {
        this.failed = !this.d;
        throw error;
      }
    },
    may(what) {
      return this.d.may.includes(what);
    },
    // ---- acts
    async act(method, what, body, headers) {
      this.busy = true;
      try {
        return await tw.act(method, `/api/v1/terminals/${encodeURIComponent(this.terminal)}/${what}`, body, headers);
      } finally {
        this.busy = false;
      }
    },
    edit() {
      // Protected values are not here to be changed: an empty field keeps what there is.
      this.before = Object.fromEntries(GROUPS.flatMap(([, names]) => names).map((name) => [name, PROTECTED.includes(name) ? "" : String(this.f[name] ?? "")]));
      this.before.serials = "";
      this.form = { ...this.before };
      this.problem = "";
    },
    async save() {
      const fields = {};
      for (const [name, value] of Object.entries(this.form)) {
        const said = String(value ?? "").trim();
        if (said === this.before[name]) continue;
        if (name === "serials") fields.serials = Object.fromEntries(said.split(";").filter((pair) => pair.trim()).map((pair) => [pair.split("=")[0].trim(), pair.split("=").slice(1).join("=").trim()]));
        else fields[name] = said === "" ? null : DAYS.includes(name) ? Number(said) : said;
      }
      await this.put(fields);
    },
    async done(due) {
      await this.put({ [`last_${due.kind}`]: tw.local(tw.now()).slice(0, 10) });
    },
    async put(fields) {
      this.problem = "";
      try {
        if (Object.keys(fields).length) this.d.asset = await this.act("PUT", "asset", fields, { "If-Match": `"${this.d.asset.version}"` });
        this.form = this.revealed = null;
        this.soon();
      } catch (error) {
        this.problem = error.message;
      }
    },
    async reveal() {
      this.problem = "";
      try {
        this.revealed = await this.act("POST", "reveal");
      } catch (error) {
        this.problem = error.message;
      }
    },
    async write() {
      this.noteProblem = "";
      try {
        await this.act("POST", "notes", { text: this.note });
        this.note = "";
        this.soon();
      } catch (error) {
        this.noteProblem = error.message;
      }
    },
    async move() {
      this.cycleProblem = "";
      try {
        await this.act("POST", "life-cycle", { state: this.cycle, reason: this.reason });
        this.cycle = this.reason = "";
        this.soon();
      } catch (error) {
        this.cycleProblem = error.message;
      }
    },
    // ---- words
    t: (key, values) => tw.t(key, values),
    stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0),
    day: (iso) => tw.wholeDay(iso),
    sinceDay: (iso) => tw.date(Date.parse(iso)),
    number: (n) => tw.number(n),
    known: (name) => (["ok", "warn", "crit"].includes(name) ? name : "unknown"),
    condition: (name) => tw.condition(name),
    verdict: (word) => (tw.has(`verdict.${word}`) ? tw.t(`verdict.${word}`) : word),
    versionWord: (signal) => (tw.has(`version.${signal.split(".")[1]}`) ? tw.t(`version.${signal.split(".")[1]}`) : signal),
    masked: (name) => PROTECTED.includes(name),
    long: (name) => LONG.includes(name),
    kind: (name) => (DATES.includes(name) ? "date" : DAYS.includes(name) ? "number" : "text"),
    pairs: (serials) => Object.entries(serials).map(([part, number]) => `${part}=${number}`).join("; "),
    shown(name) {
      const value = this.revealed?.fields[name] ?? this.f[name];
      if (DATES.includes(name)) return this.day(value);
      return DAYS.includes(name) ? tw.t("length.days", { n: value }) : value;
    },
    urgency: (due) => (due.days < 0 ? "over" : due.days <= 30 ? "soon" : "later"),
    dueText: (due) => (due.days < 0 ? tw.t(due.kind === "warranty" ? "due.ended" : "due.overdue", { n: -due.days }) : due.days === 0 ? tw.t("due.today") : tw.t("due.in", { n: due.days })),
    serialTone: (s) => ({ differs: "tw-crit", same: "tw-ok", unlisted: "tw-warn", untold: "tw-unknown" })[s.state] ?? "tw-unknown",
    wornTone: (l) => (l.share >= 1 ? "crit" : l.share >= 0.8 ? "warn" : "ok"),
    usedText(l) {
      const unit = l.unit === "%" ? "" : ` ${l.unit_text}`;
      const values = { used: tw.number(l.unit === "years" ? Math.round(l.used * 10) / 10 : Math.round(l.used)) + (l.unit === "%" ? " %" : ""), rated: l.rated === null ? "" : tw.number(l.rated) + (l.unit === "%" ? " %" : unit), unit, share: l.share === null ? "" : tw.percent(l.share, 0) };
      const key = l.rated === null ? "life.used_only" : l.unit === "%" ? "life.used_share" : "life.used";
      return (l.at_least ? `${tw.t("life.at_least")} ` : "") + tw.t(key, values);
    },
    leftText(l) {
      if (!l.left) return l.rated === null ? tw.t("life.no_figure") : tw.t("life.no_date");
      const days = (n) => (n === null ? tw.t("life.beyond") : n > 730 ? tw.t("life.years", { n: tw.number(Math.round(n / 36.525) / 10) }) : tw.t("length.days", { n: tw.number(Math.round(n)) }));
      return l.left.likely <= 0 ? tw.t("life.past") : tw.t("life.left", { low: days(l.left.low), likely: days(l.left.likely), high: days(l.left.high) });
    },
    curve(l) {
      return tw.curve(this.terminal, l.component, l.signal);
    },
    some(list, name) {
      return this.open[name] ? list : list.slice(0, FEW);
    },
    more(list, name) {
      return this.open[name] ? tw.t("incident.fewer") : tw.t("incident.more", { n: list.length - FEW });
    },
  },
};
