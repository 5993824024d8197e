// What people do to incidents and alarms, on every page that lets them: buttons for what applies now, a form where an act needs words, and what came of it.
// Who may do what is decided by the server; a button that it does not name is not there. Vue escapes every text.
"use strict";

tw.acts = {
  // Those that need nothing more are done at once; the others ask.
  plain: ["acknowledge", "repair", "resume", "close"],
  order: ["acknowledge", "assign", "repair", "resume", "resolve", "close", "note", "hold", "shelve", "split", "merge"],
  label: (act) => tw.t(`inbox.act_${act}`),
  // A refusal in the reader's words and times; or what the server said; or that it was not reached.
  why(error) {
    if (error.problem?.reason) return tw.fill(error.problem.reason);
    return error.status ? error.message : tw.t("inbox.unreached");
  },
  address: (incident, act) => `/api/v1/incidents/${encodeURIComponent(incident)}/${act}?lang=${window.TW.lang}`,
  // One act, sent now or kept until there is a connection. Gives what has changed in a line; null: it waits.
  async send(incident, act, body) {
    const done = await (tw.queue ? tw.queue.act : tw.act)("POST", tw.acts.address(incident, act), body, undefined, { act, incident });
    return done === null ? null : tw.acts.came(done);
  },
  came(done) {
    const lines = done.changed.map((line) => tw.fill(line)).filter(Boolean);
    if (done.still_there) return tw.t("inbox.still_there");
    return lines.join(" · ") || tw.t("inbox.done");
  },
};

// The form of one act, on one incident or on several. Emits what is to be sent.
tw.parts.actform = {
  template: `
    <dialog class="tw-dialog" ref="box" :aria-labelledby="'tw-act-' + uid" @close="$emit('close')" @cancel="$emit('close')" @keydown.stop>
      <form method="dialog" @submit.prevent="send">
        <h2 :id="'tw-act-' + uid">{{ label(act) }}</h2>
        <p class="tw-faint">{{ about }}</p>
        <label v-if="act === 'assign'"><span>{{ t("inbox.to") }}</span>
          <select v-model="to" required><option value="" disabled>{{ t("inbox.choose") }}</option><option v-for="p in people" :key="p.id" :value="p.id">{{ p.name }}</option><option value="*">{{ t("inbox.else") }}</option></select>
        </label>
        <label v-if="act === 'assign' && to === '*'"><span>{{ t("inbox.else_name") }}</span><input v-model.trim="other" required maxlength="200" autocomplete="off"></label>
        <label v-if="act === 'hold'"><span>{{ t("inbox.hold_reason") }}</span>
          <select v-model="reason" required><option value="" disabled>{{ t("inbox.choose") }}</option><option v-for="r in reasons" :key="r.id" :value="r.id">{{ r.name }}</option></select>
        </label>
        <template v-if="act === 'shelve'">
          <label><span>{{ t("inbox.hours") }}</span><select v-model.number="hours"><option v-for="h in [1, 2, 4, 8, 12, 24]" :key="h" :value="h">{{ length(h) }}</option></select></label>
          <label><span>{{ t("inbox.why") }}</span><input v-model.trim="reason" required maxlength="200" autocomplete="off"></label>
          <label v-if="grave"><span>{{ t("inbox.second") }}</span><input v-model.trim="second" required maxlength="200" autocomplete="off"></label>
          <p class="tw-faint">{{ t("inbox.shelve_means") }}</p>
        </template>
        <fieldset v-if="act === 'resolve'"><legend>{{ t("incident.verdict") }}</legend>
          <label v-for="v in verdicts" :key="v" class="tw-radio"><input type="radio" v-model="verdict" :value="v" required> <span>{{ t("verdict." + v) }}</span></label>
        </fieldset>
        <template v-if="act === 'resolve' && verdict === 'part_changed'">
          <label><span>{{ t("inbox.part") }}</span><input v-model.trim="part" required maxlength="100" autocomplete="off"></label>
          <label><span>{{ t("inbox.serial") }}</span><input v-model.trim="serial" maxlength="80" autocomplete="off"></label>
        </template>
        <fieldset v-if="act === 'split'"><legend>{{ t("inbox.split_which") }}</legend>
          <label v-for="m in members" :key="m.alarm.id" class="tw-radio"><input type="checkbox" v-model="chosen" :value="m.alarm.id"> <span>{{ m.alarm.text }} <span class="tw-code">{{ m.alarm.terminal }} {{ m.alarm.component }}</span> <span class="tw-tag">{{ t("role." + m.role) }}</span></span></label>
        </fieldset>
        <fieldset v-if="act === 'merge'"><legend>{{ t("inbox.merge_into") }}</legend>
          <p v-if="!neighbours.length" class="tw-faint">{{ t("inbox.merge_none") }}</p>
          <label v-for="n in neighbours" :key="n.id" class="tw-radio"><input type="radio" v-model="into" :value="n.id" required> <span><b>{{ n.level }}</b> {{ n.text }} <span class="tw-code">{{ n.terminal }} {{ n.component }}</span></span></label>
        </fieldset>
        <p v-if="act === 'split' || act === 'merge'" class="tw-faint">{{ t(act === "split" ? "inbox.split_means" : "inbox.merge_means") }}</p>
        <label v-if="act === 'note'"><span>{{ t("inbox.text") }}</span><textarea v-model.trim="text" required maxlength="200" rows="3"></textarea></label>
        <label v-else-if="act !== 'hold' && act !== 'shelve'"><span>{{ t("inbox.note") }}</span><input v-model.trim="note" maxlength="200" autocomplete="off"></label>
        <p v-if="failed" class="tw-refused" role="alert">{{ failed }}</p>
        <p class="tw-dialog-end"><button type="button" class="tw-button" @click="$emit('close')">{{ t("inbox.cancel") }}</button> <button type="submit" class="tw-button tw-primary" :disabled="busy || !ready">{{ label(act) }}</button></p>
      </form>
    </dialog>`,
  props: { act: String, about: String, incident: String, members: Array, grave: Boolean, others: Array, drill: Boolean, run: Function },
  emits: ["close"],
  data: () => ({
    people: [], reasons: [], neighbours: [], to: "", other: "", reason: "", hours: 2, second: "", verdict: "", part: "", serial: "", chosen: [], into: "", text: "", note: "", failed: "", busy: false,
    uid: tw.key().slice(0, 6),
  }),
  computed: {
    verdicts() {
      return this.drill ? ["drill"] : ["true_fault", "part_changed", "no_fault_found", "false_alarm"];
    },
    ready() {
      if (this.act === "split") return this.chosen.length > 0;
      return this.act !== "merge" || Boolean(this.into);
    },
    body() {
      const { note } = this;
      switch (this.act) {
        case "assign":
          return { to: this.to === "*" ? this.other : this.to, note };
        case "hold":
          return { reason: this.reason };
        case "shelve":
          return { hours: this.hours, reason: this.reason, second: this.grave ? this.second : "" };
        case "resolve":
          return this.verdict === "part_changed" ? { verdict: this.verdict, part: this.part, serial: this.serial, note } : { verdict: this.verdict, note };
        case "split":
          return { alarms: this.chosen, note };
        case "merge":
          return { into: this.into, note };
        case "note":
          return { text: this.text };
        default:
          return this.act === "acknowledge" ? { note } : {};
      }
    },
  },
  async mounted() {
    this.back = document.activeElement;
    this.$refs.box.showModal();
    if (this.drill) this.verdict = "drill";
    if (this.others) this.neighbours = this.others;
    if (!["assign", "hold", "merge"].includes(this.act)) return;
    try {
      const one = this.act === "merge" && !this.others ? `&incident=${encodeURIComponent(this.incident)}` : "";
      const said = await tw.json(`/api/v1/handling?lang=${window.TW.lang}${one}`);
      this.people = said.people;
      this.reasons = said.reasons;
      if (!this.others) this.neighbours = said.neighbours;
    } catch {
      this.failed = tw.t("inbox.unreached");
    }
  },
  unmounted() {
    this.back?.focus?.();
  },
  methods: {
    t: (key, values) => tw.t(key, values),
    label: (act) => tw.acts.label(act),
    length: (h) => tw.length(h * 3600),
    async send() {
      this.busy = true;
      this.failed = "";
      try {
        await this.run(this.act, this.body);
        this.$emit("close");
      } catch (error) {
        this.failed = tw.acts.why(error);
      }
      this.busy = false;
    },
  },
};

// Buttons of one incident. incident: with id, can, members where they are known; says what came of each.
tw.parts.acts = {
  components: { "tw-actform": tw.parts.actform },
  template: `
    <div class="tw-deeds" role="group" :aria-label="t('inbox.acts')">
      <button v-for="act in offered" :key="act" type="button" class="tw-button" :class="{ 'tw-primary': act === first }" :disabled="busy" @click="ask(act)">{{ label(act) }}</button>
      <p v-if="said" class="tw-came" role="status">{{ said }}</p>
      <p v-if="failed" class="tw-refused" role="alert">{{ failed }}</p>
      <tw-actform v-if="form" :act="form" :about="one.text" :incident="one.id" :members="members" :grave="grave" :drill="one.drill" :run="run" @close="form = ''"></tw-actform>
    </div>`,
  props: { incident: Object },
  emits: ["done"],
  data: () => ({ form: "", said: "", failed: "", busy: false }),
  computed: {
    one() {
      return this.incident;
    },
    members() {
      return (this.incident.members ?? []).filter((m) => !m.until);
    },
    shelvable() {
      return this.members.filter((m) => m.role !== "child" && m.alarm.condition !== "normal" && !m.alarm.masks.some((mask) => mask.kind === "shelved"));
    },
    grave() {
      return this.shelvable.some((m) => m.alarm.level === 1);
    },
    offered() {
      const can = new Set(this.incident.can ?? []);
      if (can.has("note") && this.shelvable.length) can.add("shelve");
      return tw.acts.order.filter((act) => can.has(act));
    },
    first() {
      const order = this.one.state === "open" ? ["acknowledge", "repair", "resolve", "close"] : ["repair", "resolve", "close", "acknowledge"]; // taken on already: what comes next
      return order.find((act) => this.offered.includes(act));
    },
  },
  methods: {
    t: (key, values) => tw.t(key, values),
    label: (act) => tw.acts.label(act),
    async ask(act) {
      if (!tw.acts.plain.includes(act)) {
        this.form = act;
        return;
      }
      try {
        await this.run(act, {});
      } catch (error) {
        this.failed = tw.acts.why(error);
      }
    },
    async run(act, body) {
      this.busy = true;
      this.said = this.failed = "";
      try {
        if (act === "shelve") {
          const items = this.shelvable.map((m) => ({ alarm: m.alarm.id, act, ...body }));
          const { items: told } = await tw.act("POST", `/api/v1/incidents/acts?lang=${window.TW.lang}`, { items });
          const refused = told.find((each) => each.problem);
          if (refused) throw Object.assign(new Error(refused.problem.detail), { status: refused.status, problem: refused.problem });
          this.said = told.map((each) => tw.acts.came(each.acted)).join(" · ");
        } else {
          this.said = (await tw.acts.send(this.incident.id, act, body)) ?? tw.t("inbox.kept");
        }
        this.$emit("done", act);
      } finally {
        this.busy = false;
      }
    },
  },
};
