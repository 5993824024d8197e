// The alarm inbox: incidents by urgency, worked through by mouse, keyboard or finger. A row under the pointer does not move: what is new waits above the list
// until nobody points at it. Vue escapes every text.
const STALE_S = 180; // three of the usual minute intervals

export default {
  components: { "tw-actform": tw.parts.actform, "tw-clock": tw.parts.clock, "tw-panel": tw.parts.panel, "tw-alarm": tw.parts.alarm },
  template: `
    <div class="tw-inbox" :class="{ 'tw-inbox-open': open }" @keydown="key">
      <div class="tw-inbox-list">
        <div v-if="all" class="tw-counts" role="group" :aria-label="t('inbox.counts')">
          <button v-for="c in counts" :key="c.name" type="button" class="tw-count-tile" :class="['tw-count-' + c.name, { 'tw-zero': !c.n }]" :aria-pressed="String(only === c.name)" @click="show(c.name)"><b>{{ c.n }}</b> <span>{{ c.label }}</span></button>
        </div>
        <div class="tw-filters">
          <input type="search" v-model="q" :placeholder="t('alarms.filter_text')" :aria-label="t('alarms.filter_text')" @input="remember('q', q)">
          <select v-model="level" :aria-label="t('alarms.filter_level')" @change="remember('level', level)"><option value="">{{ t("alarms.filter_level") }}</option><option v-for="n in [1, 2, 3]" :key="n" :value="String(n)">{{ levelName(n) }}</option></select>
          <select v-model="branch" :aria-label="t('fleet.filter_branch')" @change="remember('branch', branch)"><option value="">{{ t("fleet.filter_branch") }}</option><option v-for="name in branches" :key="name" :value="name">{{ name }}</option></select>
          <select v-model="stage" :aria-label="t('inbox.filter_state')" @change="remember('state', stage)"><option value="">{{ t("inbox.filter_state") }}</option><option v-for="s in stages" :key="s" :value="s">{{ t("stage." + s) }}</option></select>
          <button v-if="filtering" type="button" class="tw-button" @click="clear">{{ t("inbox.clear") }}</button>
          <span class="tw-count" role="status">{{ all ? t("inbox.shown", { n: shown.length, total: all.total }) : "" }}</span>
          <button type="button" class="tw-button" @click="help = true" aria-haspopup="dialog">{{ t("inbox.keys") }} <kbd>?</kbd></button>
        </div>
        <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
        <p v-if="!all && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
        <p v-if="all && !all.items.length" class="tw-note">{{ t("inbox.empty") }}</p>
        <p v-if="all && all.items.length && !shown.length" class="tw-note">{{ t("alarms.no_match") }}</p>
        <p class="tw-news" role="status"><button v-if="waiting" type="button" class="tw-button" @click="release">{{ t("inbox.waiting", { n: waiting }) }}</button></p>
        <p v-if="shown.length" class="tw-inbox-columns" aria-hidden="true"><span>{{ t("alarms.incident") }}</span><span>{{ t("alarms.since") }}</span><span>{{ t("incident.clocks") }}</span><span>{{ t("inbox.owner") }}</span><span>{{ t("alarms.ticket") }}</span><span>{{ t("inbox.data") }}</span></p>
        <ol v-if="shown.length" class="tw-inbox-rows" @pointerenter="held = true" @pointerleave="held = false; settle()" :aria-label="t('inbox.title')">
          <li v-for="i in shown" :key="i.id" :id="'row-' + i.id" class="tw-inbox-row" :class="['tw-edge-l' + i.level, { 'tw-chosen': chosen.has(i.id), 'tw-current': i.id === open, 'tw-ended': i.gone }]" @click="pointed($event, i.id)">
            <label class="tw-pick"><input type="checkbox" :checked="chosen.has(i.id)" :disabled="i.gone" :aria-label="t('inbox.select', { what: i.text, where: spot(i) })" @change="choose(i.id)"></label>
            <span class="tw-level-word" :class="'tw-lw' + i.level"><span class="tw-level-badge" :class="'tw-l' + i.level" aria-hidden="true">{{ i.level }}</span> {{ short(i.level) }}</span>
            <div class="tw-inbox-what">
              <h2><a :href="'?open=' + encodeURIComponent(i.id)" class="tw-inbox-link" :data-row="i.id" @click.prevent.stop="toggle(i.id)">{{ i.text }}</a></h2>
              <p><span class="tw-stage" :class="'tw-stage-' + (i.on_hold ? 'on_hold' : i.state)">{{ i.gone ? t("inbox.gone") : word(i) }}</span>
                <a v-if="i.terminal" :href="'/terminal/' + encodeURIComponent(i.terminal)" class="tw-link">{{ i.terminal }}</a><b v-else>{{ where(i) }}</b>
                <span v-if="i.terminal" class="tw-faint">{{ i.branch }}</span><span v-if="i.component" class="tw-code">{{ i.component }}</span>
                <span v-if="!i.terminal && i.terminals" class="tw-faint">{{ t("incident.concerns", { n: i.terminals }) }}</span>
                <span v-for="mark in marks(i)" :key="mark" class="tw-tag">{{ mark }}</span><span v-for="(n, kind) in i.masks" :key="kind" class="tw-tag">{{ t("mask." + kind) }}{{ n > 1 ? " ×" + n : "" }}</span><span v-if="i.forgotten" class="tw-tag tw-forgotten">{{ t("inbox.forgotten_mark") }}</span></p>
            </div>
            <p class="tw-inbox-since"><span class="tw-faint tw-label">{{ t("alarms.since") }}</span> <span :data-at="ms(i.occurred_at)">{{ age(i.occurred_at) }}</span></p>
            <div class="tw-inbox-clocks"><p v-if="i.state === 'settling'" class="tw-faint">{{ t("incident.told_at") }} <b :data-left="ms(i.settle_until)"></b></p><tw-clock v-for="c in going(i)" :key="c.kind" :clock="c" :hold="i.hold_text"></tw-clock></div>
            <p class="tw-inbox-owner"><span class="tw-faint tw-label">{{ t("inbox.owner") }}</span> <b v-if="i.owner">{{ i.owner }}</b><span v-else class="tw-nobody-yet">{{ t("incident.nobody") }}</span></p>
            <p class="tw-inbox-ticket"><span class="tw-faint tw-label">{{ t("alarms.ticket") }}</span> <template v-if="i.ticket.id"><a v-if="link(i)" :href="link(i)" rel="noreferrer noopener" target="_blank">{{ i.ticket.id }}</a><b v-else>{{ i.ticket.id }}</b> <span class="tw-faint">{{ ticket(i.ticket.state) }}</span></template><span v-else class="tw-faint">{{ t("alarms.no_ticket") }}<template v-if="i.ticket.state"> ({{ ticket(i.ticket.state) }})</template></span></p>
            <p class="tw-inbox-age" :class="{ 'tw-void': !i.data_at }"><span class="tw-faint tw-label">{{ t("inbox.data") }}</span> <span v-if="i.data_at" :data-at="ms(i.data_at)" :data-stale-after="stale">{{ age(i.data_at) }}</span><span v-else class="tw-faint">–</span></p>
          </li>
        </ol>
        <p v-if="all && all.total > all.items.length" class="tw-note">{{ t("alarms.more", { n: all.items.length }) }}</p>
        <section v-if="loose.length" class="tw-section tw-inbox-loose"><h2>{{ t("incident.loose") }}</h2><p class="tw-faint tw-loose-why">{{ t("incident.loose_why") }}</p><ol class="tw-rows tw-loose"><tw-alarm v-for="a in loose" :key="a.id" :alarm="a"></tw-alarm></ol></section>
        <div v-if="chosen.size" class="tw-bulk" role="toolbar" :aria-label="t('inbox.bulk')">
          <b role="status">{{ t("inbox.chosen", { n: chosen.size }) }}</b>
          <button v-for="act in bulk" :key="act" type="button" class="tw-button" :disabled="busy" @click="ask(act)">{{ label(act) }}</button>
          <button type="button" class="tw-button" @click="chosen = new Set()">{{ t("inbox.unselect") }}</button>
        </div>
        <p class="tw-came tw-inbox-said" role="status">{{ said }}</p>
        <p class="tw-refused tw-inbox-said" role="alert">{{ refused }}</p>
      </div>
      <tw-panel v-if="open" :incident="open" :key="'panel'" ref="panel" @close="close"></tw-panel>
      <tw-actform v-if="form" :act="form" :about="about" :grave="grave" :others="form === 'merge' ? among : null" :run="run" @close="form = ''"></tw-actform>
      <dialog v-if="help" class="tw-dialog" ref="help" :aria-label="t('inbox.keys')" @close="help = false" @keydown.stop.escape="help = false">
        <h2>{{ t("inbox.keys") }}</h2>
        <dl class="tw-keys"><template v-for="k in sheet" :key="k"><dt><kbd>{{ k === "enter" ? "Enter" : k === "esc" ? "Esc" : k }}</kbd></dt><dd>{{ t(keyName(k)) }}</dd></template></dl>
        <label class="tw-radio"><input type="checkbox" v-model="letters" @change="keep"> <span>{{ t("inbox.letters") }}</span></label>
        <p class="tw-dialog-end"><button type="button" class="tw-button tw-primary" @click="help = false">{{ t("inbox.close") }}</button></p>
      </dialog>
    </div>`,
  data() {
    const asked = new URL(location.href).searchParams;
    const get = (name) => asked.get(name) || "";
    return {
      all: null, order: [], gone: {}, failed: false, chosen: new Set(), held: false, form: "", said: "", refused: "", busy: false, help: false,
      q: get("q"), level: get("level"), branch: get("branch"), stage: get("state"), only: get("only"), open: get("open"), stale: STALE_S,
      letters: localStorage.getItem("tw_keys") !== "off", bulk: ["acknowledge", "assign", "shelve", "note", "merge"], stages: ["settling", "open", "acknowledged", "in_repair", "on_hold", "restored"],
      sheet: ["j", "k", "x", "a", "s", "n", "e", "enter", "esc", "?"],
    };
  },
  computed: {
    known() {
      return new Map((this.all?.items ?? []).map((i) => [i.id, i]));
    },
    rows() {
      return this.order.map((id) => this.known.get(id) ?? (this.gone[id] ? { ...this.gone[id], gone: true } : null)).filter(Boolean);
    },
    shown() {
      const q = this.q.toLowerCase();
      return this.rows.filter(
        (i) =>
          (!this.level || String(i.level) === this.level) && (!this.branch || i.branch === this.branch) && this.counted(i, this.only) &&
          (!this.stage || (i.on_hold ? "on_hold" : i.state) === this.stage) &&
          (!q || [i.id, i.text, i.terminal, i.branch, i.region, i.component, i.owner, i.ticket.id, i.ticket.owner, i.cause].some((text) => String(text ?? "").toLowerCase().includes(q))),
      );
    },
    loose() {
      const mask = ["shelved", "maintenance", "child_of", "flapping"].includes(this.only) ? this.only : "";
      return (this.all?.loose ?? []).filter(
        (a) => (!this.level || String(a.level) === this.level) && (!this.branch || a.branch === this.branch) && !this.stage &&
          (!this.only || (mask && a.masks.some((m) => m.kind === mask)) || (this.only === "unseen" && a.returned)) && (!this.q || [a.text, a.terminal, a.component, a.branch].some((text) => text.toLowerCase().includes(this.q.toLowerCase()))),
      );
    },
    branches() {
      return [...new Set((this.all?.items ?? []).map((i) => i.branch).filter(Boolean))].sort((a, b) => a.localeCompare(b, window.TW.lang));
    },
    filtering() {
      return Boolean(this.q || this.level || this.branch || this.stage || this.only);
    },
    waiting() {
      return (this.all?.items ?? []).filter((i) => !this.order.includes(i.id)).length;
    },
    counts() {
      const items = this.all.items;
      const of = (name) => items.filter((i) => this.counted(i, name)).length;
      const found = [["unowned", of("unowned")], ["missed", of("missed")], ["mine", this.all.me ? of("mine") : 0], ["forgotten", this.all.forgotten], ["unseen", this.all.unseen]];
      for (const kind of ["shelved", "maintenance", "child_of", "flapping"]) found.push([kind, this.all.masks[kind] ?? 0]);
      return found.filter(([name]) => name !== "mine" || this.all.me).map(([name, n]) => ({ name, n, label: tw.t(`inbox.count_${name}`) }));
    },
    picked() {
      return [...this.chosen].map((id) => this.known.get(id)).filter(Boolean);
    },
    grave() {
      return this.picked.some((i) => i.level === 1);
    },
    among() {
      return this.picked.map(({ id, text, terminal, component, level }) => ({ id, text, terminal, component, level }));
    },
    about() {
      return this.picked.length === 1 ? `${this.picked[0].text} · ${this.spot(this.picked[0])}` : tw.t("inbox.chosen", { n: this.picked.length });
    },
  },
  mixins: [tw.list],
  watch: {
    async help(on) {
      if (!on) return;
      await this.$nextTick();
      this.$refs.help.showModal();
    },
  },
  mounted() {
    document.addEventListener("keydown", this.fromBody);
  },
  unmounted() {
    document.removeEventListener("keydown", this.fromBody);
  },
  methods: {
    async load() {
      try {
        const said = await tw.json(`/api/v1/inbox?lang=${window.TW.lang}`);
        const before = this.known;
        this.all = said;
        this.failed = false;
        for (const id of this.order) if (!this.known.has(id) && before.has(id)) this.gone[id] = before.get(id);
        for (const id of [...this.chosen]) if (!this.known.has(id)) this.chosen.delete(id);
        this.settle();
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    // Rows take their new places where nobody points at them, works by keyboard among them, or has chosen some.
    settle() {
      const inside = document.activeElement?.closest?.(".tw-inbox-rows");
      if (this.order.length && (this.held || inside || this.chosen.size || this.form)) return;
      this.release();
    },
    release() {
      this.order = (this.all?.items ?? []).map((i) => i.id);
      this.gone = {};
    },
    counted(i, name) {
      if (!name) return true;
      if (name === "unowned") return !i.owner && i.state !== "restored" && i.state !== "settling";
      if (name === "missed") return i.clocks.some((c) => !c.stopped_at && (c.missed || (c.due && Date.parse(c.due) <= tw.now())));
      if (name === "mine") return i.owner && i.owner === this.all.me;
      if (name === "forgotten") return i.forgotten > 0;
      if (name === "unseen") return false;
      return (i.masks[name] ?? 0) > 0;
    },
    show(name) {
      this.only = this.only === name ? "" : name;
      this.remember("only", this.only);
    },
    clear() {
      this.q = this.level = this.branch = this.stage = this.only = "";
      for (const name of ["q", "level", "branch", "state", "only"]) this.remember(name, "");
    },
    choose(id) {
      const next = new Set(this.chosen);
      if (!next.delete(id)) next.add(id);
      this.chosen = next;
    },
    toggle(id) {
      this.open = this.open === id ? "" : id;
      this.remember("open", this.open);
    },
    // The whole row opens, but for what does something else in it, and for text that is being copied.
    pointed(event, id) {
      if (!event.target.closest("a, button, label, input") && !getSelection().toString()) this.toggle(id);
    },
    close() {
      const id = this.open;
      this.open = "";
      this.remember("open", "");
      this.$nextTick(() => this.rowLink(id)?.focus());
    },
    rowLink: (id) => document.querySelector(`.tw-inbox-link[data-row="${CSS.escape(id)}"]`),
    current() {
      const row = document.activeElement?.closest?.(".tw-inbox-row");
      return row ? row.id.slice(4) : "";
    },
    // Keys that are pressed where nothing has the focus belong to the list; what is typed into a field belongs to the field.
    fromBody(event) {
      if (event.target === document.body || event.target.id === "tw-main") this.key(event);
    },
    key(event) {
      if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || this.form || this.help) return;
      const field = event.target.closest?.("input:not([type=checkbox]), select, textarea");
      if (field) return;
      if (event.key === "Escape") {
        if (this.open) this.close();
        else if (this.chosen.size) this.chosen = new Set();
        return;
      }
      const inPanel = event.target.closest?.(".tw-drawer");
      if (!this.letters || inPanel) return;
      const at = this.shown.findIndex((i) => i.id === this.current());
      const work = { j: () => this.go(at + 1), k: () => this.go(Math.max(at - 1, 0)), x: () => this.current() && this.choose(this.current()), a: () => this.act("acknowledge"), s: () => this.act("shelve"), n: () => this.act("note"), e: () => this.act("assign"), "?": () => (this.help = true) }[event.key];
      if (!work) return;
      event.preventDefault();
      work();
    },
    go(at) {
      const i = this.shown[Math.min(at, this.shown.length - 1)];
      const link = i && this.rowLink(i.id);
      link?.focus();
      link?.closest("li").scrollIntoView({ block: "nearest" });
    },
    // By a key: what is chosen, or else the row that has the focus.
    act(act) {
      if (!this.chosen.size && this.current()) this.chosen = new Set([this.current()]);
      if (this.chosen.size) this.ask(act);
    },
    async ask(act) {
      this.said = this.refused = "";
      if (act !== "acknowledge") {
        this.form = act;
        return;
      }
      try {
        await this.run(act, {});
      } catch (error) {
        this.refused = tw.acts.why(error);
      }
    },
    items(act, body) {
      if (act === "shelve") return this.picked.flatMap((i) => i.own.map((alarm) => ({ alarm, act, ...body })));
      if (act === "merge") return this.picked.filter((i) => i.id !== body.into).map((i) => ({ incident: i.id, act, ...body }));
      return this.picked.map((i) => ({ incident: i.id, act, ...body }));
    },
    async run(act, body) {
      const items = this.items(act, body).slice(0, 200);
      if (!items.length) throw Object.assign(new Error(tw.t("inbox.nothing_to_do")), { status: 409 });
      this.busy = true;
      try {
        const { items: told } = await tw.act("POST", `/api/v1/incidents/acts?lang=${window.TW.lang}`, { items });
        const failed = told.filter((each) => each.problem);
        const done = told.length - failed.length;
        this.said = done ? tw.t("inbox.acted", { n: done, what: tw.acts.label(act) }) : "";
        this.refused = failed.length ? tw.t("inbox.refused", { n: failed.length, why: [...new Set(failed.map((each) => tw.acts.why({ problem: each.problem, message: each.problem.detail, status: each.status })))].slice(0, 3).join(" · ") }) : "";
        if (!failed.length) this.chosen = new Set();
      } finally {
        this.busy = false;
      }
    },
    keep() {
      localStorage.setItem("tw_keys", this.letters ? "on" : "off");
    },
    going: (i) => i.clocks.filter((clock) => !clock.stopped_at),
    link: (i) => (/^https?:\/\//.test(i.ticket.url) ? i.ticket.url : ""),
    spot: (i) => [i.terminal || tw.where(i), i.component].filter(Boolean).join(" "),
    keyName: (k) => `inbox.key_${k === "?" ? "help" : k}`,
    short: (n) => tw.t(`inbox.level_${n}`),
    word: (i) => tw.stage(i),
    marks: (i) => tw.marks(i),
    where: (i) => tw.where(i),
    ticket: (state) => tw.ticketState(state),
    label: (act) => tw.acts.label(act),
    remember: (name, value) => tw.address(name, value),
    t: (key, values) => tw.t(key, values),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    age: (iso) => tw.age(iso ? Date.parse(iso) : 0),
    levelName: (n) => tw.level(n),
  },
};
