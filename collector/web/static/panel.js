// One incident beside the list: why told and why not, evidence, card, comments, history, escalation, who is on duty. Loads itself. Vue escapes every text.
"use strict";

tw.parts.panel = {
  components: { "tw-acts": tw.parts.acts, "tw-alarm": tw.parts.alarm, "tw-clock": tw.parts.clock, "tw-why": tw.parts.why },
  template: `
    <section class="tw-drawer" :aria-label="t('inbox.panel')" tabindex="-1" ref="panel">
      <p class="tw-drawer-top"><button type="button" class="tw-button tw-drawer-close" @click="$emit('close')">{{ t("inbox.close") }} <kbd>Esc</kbd></button> <a v-if="i" class="tw-button" :href="'/incident/' + encodeURIComponent(i.id)">{{ t("inbox.whole") }}</a></p>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="!i && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-if="i">
        <h2 class="tw-drawer-name"><span class="tw-level-badge" :class="'tw-l' + i.level" aria-hidden="true">{{ i.level }}</span> {{ i.text }}</h2>
        <p class="tw-where"><span class="tw-stage" :class="'tw-stage-' + (i.on_hold ? 'on_hold' : i.state)">{{ stage(i) }}</span> <a v-if="i.terminal" class="tw-link" :href="'/terminal/' + encodeURIComponent(i.terminal)">{{ i.terminal }}</a><b v-else>{{ where(i) }}</b> <span class="tw-code">{{ i.component }}</span> <span v-if="i.owner">{{ t("alarms.acked") }} <b>{{ i.owner }}</b></span><span v-else>{{ t("inbox.owner") }} <b class="tw-nobody-yet">{{ t("incident.nobody") }}</b></span></p>
        <p v-if="i.on_hold" class="tw-reason">{{ t("stage.on_hold") }}: {{ i.hold_text }}</p>
        <p v-if="i.parent" class="tw-reason">{{ t("incident.explained") }}: <a :href="'/incident/' + encodeURIComponent(i.parent)">{{ i.parent }}</a></p>
        <tw-acts :incident="i" @done="reader.run()"></tw-acts>
        <div v-if="i.clocks.length" class="tw-clocks tw-panel"><tw-clock v-for="c in i.clocks" :key="c.kind" :clock="c" :hold="i.hold_text" wide></tw-clock></div>
        <h3>{{ t("why.title") }}</h3>
        <tw-why :why="i.why" class="tw-panel"></tw-why>
        <h3>{{ t("inbox.evidence") }}</h3>
        <ol class="tw-rows tw-panel"><tw-alarm v-for="m in members" :key="m.alarm.id" :alarm="m.alarm" :role="m.role" :known="{ terminal: i.terminal, id: i.id }"></tw-alarm></ol>
        <p v-if="i.members.length > members.length" class="tw-faint">{{ t("incident.unlisted", { n: i.members.length - members.length }) }}</p>
        <h3>{{ t("incident.meaning") }}</h3>
        <dl class="tw-panel tw-card-text">
          <div v-if="i.card"><dt>{{ t("card.means") }}</dt><dd>{{ i.card.means }}</dd></div>
          <div v-if="i.consequence"><dt>{{ t("alarms.consequence") }}</dt><dd>{{ i.consequence }}</dd></div>
          <div v-if="i.action" class="tw-action"><dt>{{ t("alarms.action") }}</dt><dd>{{ i.action }}</dd></div>
          <div v-if="i.card && i.card.branch_checks.length"><dt>{{ t("card.branch") }}</dt><dd><ul><li v-for="(one, k) in i.card.branch_checks" :key="k">{{ one }}</li></ul></dd></div>
          <div v-if="i.card && i.card.engineer_brings.length"><dt>{{ t("card.engineer") }}</dt><dd><ul><li v-for="(one, k) in i.card.engineer_brings" :key="k">{{ one }}</li></ul></dd></div>
        </dl>
        <h3>{{ t("incident.escalation") }}</h3>
        <p v-if="!i.steps.length" class="tw-faint">{{ t("inbox.no_steps") }}</p>
        <ol v-else class="tw-panel tw-steps">
          <li v-for="(step, k) in i.steps" :key="k" :class="{ 'tw-done': step.done, 'tw-nobody': step.nobody, 'tw-idle': !step.done && !step.due }">
            <span>{{ t("clock." + step.kind) }}</span><b>{{ step.role || "–" }}</b><span class="tw-faint">{{ duty(step.role) }}</span>
            <span v-if="step.done">{{ step.nobody ? t("incident.step_nobody") : t("incident.step_done") }}</span>
            <span v-else-if="step.due" :title="stamp(step.due)" :data-left="ms(step.due)"></span><span v-else class="tw-faint">{{ t("incident.step_idle") }}</span>
          </li>
        </ol>
        <h3>{{ t("incident.history") }}</h3>
        <ol class="tw-panel tw-history"><li v-for="(e, k) in events" :key="k" :class="{ 'tw-comment': e.kind === 'note' }"><time>{{ stamp(e.at, true) }}</time><span><template v-for="(line, n) in e.lines" :key="n"><template v-if="n"> · </template>{{ fill(line) }}</template></span></li></ol>
      </template>
    </section>`,
  props: { incident: String },
  emits: ["close"],
  data: () => ({ i: null, failed: false }),
  mixins: [tw.list],
  watch: {
    incident() {
      this.i = null;
      this.reader.run();
    },
  },
  computed: {
    members() {
      return this.i.members.filter((m) => !m.until).slice(0, 12);
    },
    events() {
      return [...this.i.events].reverse().slice(0, 40);
    },
  },
  methods: {
    async load() {
      const asked = this.incident;
      try {
        const said = await tw.json(`/api/v1/incidents/${encodeURIComponent(asked)}?lang=${window.TW.lang}`);
        if (asked !== this.incident) return;
        this.i = said;
        this.failed = false;
      } catch (error) {
        this.failed = !this.i;
        throw error;
      }
    },
    duty(role) {
      const known = this.i.on_duty.find((each) => each.role === role);
      return known ? known.people.join(", ") || tw.t("inbox.nobody_on_duty") : "";
    },
    t: (key, values) => tw.t(key, values),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    stamp: (iso, seconds) => tw.stamp(iso ? Date.parse(iso) : 0, seconds),
    stage: (i) => tw.stage(i),
    where: (i) => tw.where(i),
    fill: (line) => tw.fill(line),
  },
};
