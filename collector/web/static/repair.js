// One repair on a phone: what it means, what to bring, the steps, what the readings say while one works, and the end with its verdict. What was read last stays
// readable without a connection, what is written is not lost, and what could not be sent waits. Vue escapes every text.
const FASTER = { kind: "raise-sampling", minutes: 15, factor: 4 };
const STALE_S = 180;
const LOOK_MS = 5000; // while the readings come faster: a batch of theirs is not news to every page

export default {
  components: { "tw-acts": tw.parts.acts, "tw-clock": tw.parts.clock, "tw-waiting": tw.parts.waiting },
  template: `
    <div class="tw-phone tw-repair">
      <p class="tw-repair-back"><a href="/my" class="tw-button">← {{ t("phone.my") }}</a></p>
      <tw-waiting :person="person" :lost="failed" :since="read"></tw-waiting>
      <p v-if="!r" class="tw-note" role="status">{{ failed ? t("phone.never") : t("alarms.loading") }}</p>
      <template v-if="r">
        <section class="tw-head" :class="'tw-edge-l' + i.level">
          <p class="tw-my-head"><span class="tw-level-word" :class="'tw-lw' + i.level"><span class="tw-level-badge" :class="'tw-l' + i.level" aria-hidden="true">{{ i.level }}</span> {{ levelWord }}</span><span class="tw-stage" :class="'tw-stage-' + (i.on_hold ? 'on_hold' : i.state)">{{ stage(i) }}</span></p>
          <h1>{{ i.text }}</h1>
          <p class="tw-where"><a v-if="i.terminal" class="tw-link" :href="'/terminal/' + encodeURIComponent(i.terminal)">{{ i.terminal }}</a> <span>{{ i.branch || where(i) }}</span> <span class="tw-code">{{ i.component }}</span></p>
          <p class="tw-where"><span class="tw-faint">{{ t("inbox.owner") }}</span> <b>{{ i.owner || t("incident.nobody") }}</b> <a :href="'/incident/' + encodeURIComponent(i.id)">{{ t("inbox.whole") }}</a></p>
          <div class="tw-my-clocks"><tw-clock v-for="c in going" :key="c.kind" :clock="c" :hold="i.hold_text" wide></tw-clock></div>
        </section>

        <section class="tw-section tw-mended" :class="'tw-mended-' + r.mended.state" role="status">
          <h2><span aria-hidden="true">{{ { well: "✓", still: "✕", unknown: "?" }[r.mended.state] }}</span> {{ mendedWord }}</h2>
          <p v-for="a in r.mended.alarms" :key="a.id">{{ a.text }} <span class="tw-code">{{ a.component }}</span> <b v-if="a.value !== null && a.value !== ''">{{ say(a) }}</b> <span v-if="a.condition === 'unknown'" class="tw-tag">{{ t("alarms.unheard") }}</span></p>
        </section>

        <section class="tw-section"><h2>{{ t("phone.do") }}</h2>
          <div v-if="offered.length" class="tw-repair-acts"><button v-for="act in offered" :key="act" type="button" class="tw-button" :class="{ 'tw-primary': act === next }" :disabled="busy" @click="plain(act)">{{ label(act) }}</button></div>
          <p v-else class="tw-note">{{ t("phone.nothing_to_do") }}</p>
          <p v-if="said" class="tw-came" role="status">{{ said }}</p><p v-if="refused" class="tw-refused" role="alert">{{ refused }}</p>
        </section>

        <section class="tw-section"><h2>{{ t("phone.live") }}</h2>
          <p v-if="faster" class="tw-faster" role="status">{{ t("phone.faster_on", { state: fasterState }) }}</p>
          <p v-else-if="canFaster"><button type="button" class="tw-button" :disabled="busy" @click="readFaster">{{ t("phone.faster", { n: minutes }) }}</button></p>
          <p v-else-if="every !== '–' || whyNot" class="tw-faint">{{ t("phone.normal", { every: every }) }}<template v-if="whyNot"> {{ whyNot }}</template></p>
          <p v-if="!live.length" class="tw-note">{{ t("phone.no_live") }}</p>
          <table v-else class="tw-live-table"><tbody><tr v-for="s in live" :key="s.component + s.signal" :class="{ 'tw-changed': s.changed }">
            <th scope="row"><a :href="'/terminal/' + encodeURIComponent(i.terminal) + '?component=' + encodeURIComponent(s.component) + '&signal=' + encodeURIComponent(s.signal)">{{ s.signal }}</a><span v-if="s.component !== i.component" class="tw-code">{{ s.component }}</span></th>
            <td><b>{{ value(s) }}</b><span v-if="s.quality !== 'good'" class="tw-tag">{{ quality(s.quality) }}</span></td><td class="tw-live-at"><span :data-at="ms(s.at)" :data-stale-after="stale">{{ age(s.at) }}</span></td></tr></tbody></table>
        </section>

        <section class="tw-section"><h2>{{ t("phone.steps") }}</h2>
          <p v-if="r.means" class="tw-panel tw-repair-means">{{ r.means }}</p>
          <ol class="tw-steps-list"><li v-for="(step, k) in steps" :key="k"><label class="tw-radio"><input type="checkbox" :checked="ticked.includes(k)" @change="tick(k)"> <span :class="{ 'tw-ticked': ticked.includes(k) }">{{ step }}</span></label></li></ol>
        </section>
        <section class="tw-section"><h2>{{ t("phone.to_bring") }}</h2>
          <p v-if="!r.brings.length && !r.told.length" class="tw-note">{{ t("phone.bring_none") }}</p>
          <ul class="tw-bring"><li v-for="(one, k) in r.brings" :key="k">{{ bring(one) }}</li><li v-for="(one, k) in r.told" :key="'t' + k" class="tw-code">{{ one }}</li></ul>
        </section>

        <section v-if="can('resolve')" class="tw-section"><h2>{{ t("phone.end") }}</h2>
          <p v-if="r.mended.state !== 'well'" class="tw-note">{{ t("phone.end_not_well") }}</p>
          <form class="tw-panel tw-end" @submit.prevent="finish" @input="draft">
            <fieldset><legend>{{ t("incident.verdict") }}</legend><label v-for="v in verdicts" :key="v" class="tw-radio"><input type="radio" v-model="form.verdict" :value="v" required> <span>{{ t("verdict." + v) }}</span></label></fieldset>
            <template v-if="form.verdict === 'part_changed'"><label v-for="f in ['part', 'serial']" :key="f"><span>{{ fieldName(f) }}</span><span class="tw-scan-field"><input v-model.trim="form[f]" :required="f === 'part'" :maxlength="f === 'part' ? 100 : 80" autocomplete="off" autocapitalize="characters"><button v-if="scans" type="button" class="tw-button" @click="scan(f)">{{ t("phone.scan") }}</button></span></label></template>
            <label><span>{{ t("inbox.note") }}</span><textarea v-model.trim="form.note" maxlength="200" rows="2"></textarea></label>
            <p><button type="submit" class="tw-button tw-primary" :disabled="busy">{{ t("phone.verify_close") }}</button></p>
          </form>
        </section>
        <section v-if="r.past.length" class="tw-section"><h2>{{ t("phone.past") }}</h2><ol class="tw-panel tw-history"><li v-for="(p, k) in r.past" :key="k"><time>{{ stamp(p.at) }}</time><span>{{ p.text }} <span class="tw-code">{{ p.component }}</span> · {{ t("verdict." + p.verdict) }}<template v-if="p.part"> · {{ p.part }}</template></span></li></ol></section>
        <dialog v-if="scanning" ref="scanner" class="tw-dialog tw-scanner" :aria-label="t('phone.scan')" @close="stop"><video ref="video" playsinline muted></video><p class="tw-faint">{{ scanSaid || t("phone.scan_hint") }}</p><p class="tw-dialog-end"><button type="button" class="tw-button" @click="stop">{{ t("inbox.cancel") }}</button></p></dialog>
      </template>
    </div>`,
  props: { incident: String, person: String },
  data: () => ({
    r: null, parts: [], diagnosis: null, failed: false, read: 0, busy: false, said: "", refused: "", before: new Map(), ticked: [], scanning: "", scanSaid: "", stale: STALE_S, minutes: FASTER.minutes,
    form: { verdict: "", part: "", serial: "", note: "" },
  }),
  computed: {
    i() {
      return this.r.incident;
    },
    going() {
      return this.i.clocks.filter((clock) => !clock.stopped_at);
    },
    steps() {
      return [...this.r.steps, this.r.action].filter(Boolean);
    },
    verdicts() {
      return this.i.drill ? ["drill"] : ["true_fault", "part_changed", "no_fault_found", "false_alarm"];
    },
    offered() {
      const order = this.i.state === "open" ? ["acknowledge", "repair", "resume", "close"] : ["repair", "resume", "close", "acknowledge"]; // taken on already: what comes next
      return order.filter((act) => this.can(act));
    },
    next() {
      return this.offered.find((act) => act !== "acknowledge" || this.i.state === "open");
    },
    near() {
      const name = this.i.component;
      return this.parts.filter((part) => part.name === name || part.name.startsWith(`${name}/`) || part.name.startsWith(`${name} `));
    },
    live() {
      const found = this.near.flatMap((part) => part.signals.filter((s) => !s.signal.startsWith("monitor.")));
      return found.slice(0, 40).map((s) => ({ ...s, changed: this.before.has(s.component + s.signal) && this.before.get(s.component + s.signal) !== JSON.stringify(s.value) }));
    },
    every() {
      const known = this.near.map((part) => part.interval_s).filter(Boolean);
      return known.length ? tw.length(Math.max(...known)) : "–";
    },
    offer() {
      return this.diagnosis?.offers.find((each) => each.kind === FASTER.kind);
    },
    canFaster() {
      return Boolean(this.offer && !this.offer.why_not);
    },
    whyNot() {
      if (!this.offer) return "";
      return window.TW_TEXTS[`diagnosis.not_${this.offer.why_not.replaceAll("-", "_")}`] ?? "";
    },
    faster() {
      const last = this.diagnosis?.commands.find((each) => each.kind === FASTER.kind);
      if (!last || ["refused", "expired"].includes(last.state)) return null;
      const ends = Date.parse(last.done_at ?? last.sent_at ?? last.asked_at) + FASTER.minutes * 60000;
      return ends > tw.now() ? { ...last, ends } : null;
    },
    fasterState() {
      return this.faster.state === "done" ? tw.t("phone.faster_until", { at: tw.stamp(this.faster.ends) }) : tw.t("phone.faster_asked");
    },
    levelWord() {
      return tw.t(`inbox.level_${this.i.level}`);
    },
    mendedWord() {
      return tw.t(`phone.mended_${this.r.mended.state}`);
    },
    scans() {
      return "BarcodeDetector" in window && Boolean(navigator.mediaDevices?.getUserMedia);
    },
  },
  mixins: [tw.list],
  mounted() {
    this.place = `tw_draft_${this.person}_${this.incident}`;
    const kept = JSON.parse(localStorage.getItem(this.place) ?? "null");
    if (kept) Object.assign(this.form, kept.form);
    this.ticked = kept?.ticked ?? [];
    this.events = new EventSource("/api/v1/events");
    this.events.addEventListener("revision", () => this.reader.run());
    this.timer = setInterval(() => this.faster && this.reader.run(), LOOK_MS);
  },
  unmounted() {
    this.events.close();
    clearInterval(this.timer);
    this.stop();
  },
  methods: {
    async load() {
      try {
        const said = await tw.json(`/api/v1/repairs/${encodeURIComponent(this.incident)}?lang=${window.TW.lang}`);
        this.before = new Map(this.r ? this.live.map((s) => [s.component + s.signal, JSON.stringify(s.value)]) : []);
        this.r = said;
        this.read = said.keptAt ?? tw.now();
        this.failed = Boolean(said.keptAt);
        tw.queue.flush();
        if (!said.incident.terminal) return;
        const name = encodeURIComponent(said.incident.terminal);
        this.parts = await tw.json(`/api/v1/terminals/${name}/components?lang=${window.TW.lang}`);
        this.diagnosis = await tw.json(`/api/v1/terminals/${name}/diagnosis`).catch(() => null);
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    can(act) {
      return this.r.can.includes(act);
    },
    async plain(act) {
      await this.do(act, {});
    },
    async do(act, body) {
      this.busy = true;
      this.said = this.refused = "";
      let done = true;
      try {
        this.said = (await tw.acts.send(this.incident, act, body)) ?? tw.t("inbox.kept");
      } catch (error) {
        this.refused = tw.acts.why(error);
        done = false;
      }
      this.busy = false;
      return done;
    },
    async finish() {
      const { verdict, part, serial, note } = this.form;
      const body = verdict === "part_changed" ? { verdict, part, serial, note } : { verdict, note };
      if (!(await this.do("resolve", body))) return;
      localStorage.removeItem(this.place);
      window.scrollTo({ top: 0 });
    },
    // What is being written outlives the page: the console reloads it when it comes back after a while.
    draft() {
      localStorage.setItem(this.place, JSON.stringify({ form: this.form, ticked: this.ticked }));
    },
    tick(k) {
      this.ticked = this.ticked.includes(k) ? this.ticked.filter((each) => each !== k) : [...this.ticked, k];
      this.draft();
    },
    async readFaster() {
      this.busy = true;
      this.refused = "";
      try {
        await tw.act("POST", `/api/v1/terminals/${encodeURIComponent(this.i.terminal)}/commands`, { ...FASTER, reason: tw.t("phone.faster_reason", { incident: this.incident }) });
      } catch (error) {
        this.refused = tw.acts.why(error);
      }
      this.busy = false;
    },
    async scan(field) {
      this.scanning = field;
      this.scanSaid = "";
      await this.$nextTick();
      this.$refs.scanner.showModal();
      try {
        this.camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
        const video = this.$refs.video;
        video.srcObject = this.camera;
        await video.play();
        const detector = new window.BarcodeDetector();
        while (this.scanning) {
          const [code] = await detector.detect(video);
          const text = code?.rawValue.replace(/[^\x20-\x7e]/g, "").trim().slice(0, 80);
          if (text) {
            this.form[field] = text;
            this.draft();
            this.stop();
            return;
          }
          await new Promise((done) => setTimeout(done, 250));
        }
      } catch {
        this.scanSaid = tw.t("phone.no_camera");
      }
    },
    stop() {
      this.scanning = "";
      for (const track of this.camera?.getTracks() ?? []) track.stop();
      this.camera = null;
    },
    fieldName: (f) => (f === "part" ? tw.t("inbox.part") : tw.t("inbox.serial")),
    bring: (one) => tw.bring(one),
    value: (s) => tw.say(s.value, s.unit),
    say: (a) => tw.say(a.value, a.unit),
    quality: (name) => tw.quality(name),
    label: (act) => tw.acts.label(act),
    stage: (i) => tw.stage(i),
    where: (i) => tw.where(i),
    t: (key, values) => tw.t(key, values),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    age: (iso) => tw.age(iso ? Date.parse(iso) : 0),
    stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0),
  },
};
