// One incident, whole: how it stands, until when, what it means, whom it concerns, who was told and why, and all that happened. Vue escapes every text.
const MESSAGES = 6; // the latest: what the ticket system has is said above them

export default {
  components: { "tw-acts": tw.parts.acts, "tw-foreseen": tw.parts.foreseen, "tw-alarm": tw.parts.alarm, "tw-clock": tw.parts.clock, "tw-message": tw.parts.message, "tw-why": tw.parts.why },
  template: `
    <div class="tw-file">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="!i && !failed" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-if="i">
        <section class="tw-head" :class="'tw-edge-l' + i.level">
          <div class="tw-head-name">
            <span class="tw-level-badge" :class="'tw-l' + i.level" :title="levelName(i.level)" :aria-label="levelName(i.level)">{{ i.level }}</span>
            <h1>{{ i.text }}</h1>
            <span class="tw-stage" :class="'tw-stage-' + (i.on_hold ? 'on_hold' : i.state)">{{ stage(i) }}</span>
            <span v-for="mark in marks(i)" :key="mark" class="tw-tag">{{ mark }}</span>
          </div>
          <dl class="tw-facts">
            <div><dt>{{ t("incident.where") }}</dt><dd><a v-if="i.terminal" :href="'/terminal/' + encodeURIComponent(i.terminal)" class="tw-link">{{ i.terminal }}</a><b v-else>{{ where(i) }}</b> <span class="tw-code">{{ i.component }}</span></dd></div>
            <div v-if="i.terminal"><dt>{{ t("fleet.branch") }}</dt><dd>{{ i.branch }}</dd></div>
            <div><dt>{{ t("terminal.region") }}</dt><dd>{{ i.region || "–" }}</dd></div>
            <div v-if="!i.terminal"><dt>{{ t("incident.extent") }}</dt><dd>{{ extent }}</dd></div>
            <div><dt>{{ t("alarms.since") }}</dt><dd>{{ stamp(i.occurred_at) }} <span v-if="!i.closed_at" class="tw-faint" :data-at="ms(i.occurred_at)">{{ age(i.occurred_at) }}</span></dd></div>
            <div><dt>{{ t("alarms.acked") }}</dt><dd>{{ i.owner || t("incident.nobody") }}</dd></div>
            <div v-if="i.on_hold"><dt>{{ t("stage.on_hold") }}</dt><dd>{{ shipped(i.hold_text) }}</dd></div>
            <div><dt>{{ t("alarms.ticket") }}</dt><dd><template v-if="i.ticket.id"><a v-if="link" :href="link" rel="noreferrer noopener" target="_blank">{{ i.ticket.id }}</a><b v-else>{{ i.ticket.id }}</b> <span class="tw-tag">{{ ticketState(i.ticket.state) }}</span></template><span v-else class="tw-faint">{{ t("alarms.no_ticket") }}</span></dd></div>
            <div><dt>{{ t("alarms.incident") }}</dt><dd class="tw-code">{{ i.id }}</dd></div>
            <div v-if="i.verdict"><dt>{{ t("incident.verdict") }}</dt><dd>{{ t("verdict." + i.verdict) }}<template v-if="i.part"> · {{ i.part }}</template></dd></div>
          </dl>
          <p v-if="i.terminal && i.cause" class="tw-reason">{{ i.cause }}</p>
          <p v-if="i.parent" class="tw-reason">{{ t("incident.explained") }}: <a :href="'/incident/' + encodeURIComponent(i.parent)">{{ i.parent }}</a></p>
          <p v-if="i.parts.length" class="tw-reason">{{ t("incident.parts") }}: <a v-for="part in i.parts" :key="part" :href="'/incident/' + encodeURIComponent(part)">{{ part }}</a></p>
          <tw-acts v-if="i.can.length" :incident="i" class="tw-file-acts" @done="reader.run()"></tw-acts>
        </section>
        <div class="tw-split tw-file-split">
          <div>
            <section v-if="i.clocks.length" class="tw-section">
              <h2>{{ t("incident.clocks") }}</h2>
              <div class="tw-clocks tw-panel"><tw-clock v-for="c in i.clocks" :key="c.kind" :clock="c" :hold="i.hold_text" wide></tw-clock></div>
            </section>
            <section v-if="i.foretold.length" class="tw-section">
              <h2>{{ t("risk.foretold") }}</h2>
              <ol class="tw-panel tw-foreseens"><tw-foreseen v-for="f in i.foretold" :key="f.id" :finding="f" :days="days" class="tw-foreseen-tall"></tw-foreseen></ol>
            </section>
            <section class="tw-section">
              <h2>{{ t("incident.meaning") }}</h2>
              <dl class="tw-panel tw-card-text">
                <div v-if="i.card"><dt>{{ t("card.means") }}</dt><dd>{{ i.card.means }}</dd></div>
                <div v-if="i.rule_cause"><dt>{{ t("alarms.cause") }}</dt><dd>{{ i.rule_cause }}</dd></div>
                <div v-if="i.consequence"><dt>{{ t("alarms.consequence") }}</dt><dd>{{ i.consequence }}</dd></div>
                <div v-if="i.action" class="tw-action"><dt>{{ t("alarms.action") }}</dt><dd>{{ i.action }}</dd></div>
                <div v-if="i.card && i.card.branch_checks.length"><dt>{{ t("card.branch") }}</dt><dd><ul><li v-for="(one, k) in i.card.branch_checks" :key="k">{{ one }}</li></ul></dd></div>
                <div v-if="i.card && i.card.engineer_brings.length"><dt>{{ t("card.engineer") }}</dt><dd><ul><li v-for="(one, k) in i.card.engineer_brings" :key="k">{{ one }}</li></ul></dd></div>
                <div v-for="(one, k) in i.card ? i.card.told : []" :key="'told' + k"><dt>{{ one.label }}</dt><dd class="tw-code" :title="one.component">{{ one.value }}</dd></div>
                <div v-if="i.card && i.card.missing.length"><dt>{{ t("card.missing") }}</dt><dd class="tw-faint">{{ i.card.missing.join(", ") }}</dd></div>
              </dl>
            </section>
            <section class="tw-section">
              <h2>{{ t("incident.alarms", { n: i.alarms }) }}</h2>
              <p v-if="!i.members.length" class="tw-note">{{ t("incident.no_alarms") }}</p>
              <ol class="tw-rows tw-panel"><tw-alarm v-for="m in members" :key="m.alarm.id" :alarm="m.alarm" :role="m.role" :known="{ terminal: i.terminal, id: i.id }"></tw-alarm></ol>
              <button v-if="i.members.length > few && !all" type="button" class="tw-button tw-more" @click="all = true">{{ t("incident.more", { n: i.members.length - few }) }}</button>
              <p v-if="i.more_members" class="tw-note">{{ t("incident.unlisted", { n: i.more_members }) }}</p>
            </section>
            <section class="tw-section">
              <h2>{{ t("incident.history") }}</h2>
              <ol class="tw-panel tw-history">
                <li v-for="(e, k) in events" :key="k"><time>{{ stamp(e.at, true) }}</time><span><template v-for="(line, n) in e.lines" :key="n"><template v-if="n"> · </template>{{ fill(line) }}</template></span></li>
              </ol>
            </section>
          </div>
          <div>
            <section class="tw-section">
              <h2>{{ t("why.title") }}</h2>
              <tw-why :why="i.why" class="tw-panel"></tw-why>
            </section>
            <section v-if="i.ticket.id || i.messages.length" class="tw-section">
              <h2>{{ t("ticket.title") }}</h2>
              <dl class="tw-panel tw-ticket">
                <div><dt>{{ t("ticket.receiver") }}</dt><dd>{{ i.ticket.connector || t("undelivered.nobody") }}</dd></div>
                <div><dt>{{ t("ticket.number") }}</dt><dd><a v-if="i.ticket.id && link" :href="link" rel="noreferrer noopener" target="_blank">{{ i.ticket.id }}</a><b v-else-if="i.ticket.id">{{ i.ticket.id }}</b><span v-else class="tw-faint">{{ t("alarms.no_ticket") }}</span></dd></div>
                <div><dt>{{ t("ticket.state") }}</dt><dd>{{ ticketState(i.ticket.state) }}<span v-if="i.ticket.status" class="tw-faint"> · {{ t("ticket.own_word", { word: i.ticket.status }) }}</span></dd></div>
                <template v-if="i.ticket.id">
                  <div><dt>{{ t("ticket.owner") }}</dt><dd>{{ i.ticket.owner || t("incident.nobody") }}</dd></div>
                  <div v-if="i.ticket.updated_at"><dt>{{ t("ticket.changed") }}</dt><dd>{{ stamp(i.ticket.updated_at) }}</dd></div>
                  <div><dt>{{ t("ticket.read") }}</dt><dd>{{ stamp(i.ticket.verified_at) }} <span class="tw-faint" :data-at="ms(i.ticket.verified_at)">{{ age(i.ticket.verified_at) }}</span></dd></div>
                  <div v-if="i.ticket.verdict"><dt>{{ t("incident.verdict") }}</dt><dd>{{ verdict(i.ticket.verdict) }}</dd></div>
                  <div v-if="i.ticket.part"><dt>{{ t("ticket.part") }}</dt><dd>{{ i.ticket.part }}</dd></div>
                </template>
              </dl>
            </section>
            <section v-if="i.acts.length && !i.can.length" class="tw-section">
              <h2>{{ t("incident.acts") }}</h2>
              <ul class="tw-panel tw-acts"><li v-for="act in i.acts" :key="act" class="tw-code">tillwatch-collector {{ act }}</li></ul>
            </section>
            <section v-if="i.steps.length" class="tw-section">
              <h2>{{ t("incident.escalation") }}</h2>
              <ol class="tw-panel tw-steps">
                <li v-for="(step, k) in i.steps" :key="k" :class="{ 'tw-done': step.done, 'tw-nobody': step.nobody, 'tw-idle': !step.done && !step.due }">
                  <span>{{ t("clock." + step.kind) }}</span>
                  <b>{{ shipped(step.role) || "–" }}<span v-if="duty(step.role)" class="tw-duty">{{ duty(step.role) }}</span></b>
                  <span class="tw-faint">{{ step.channels.join(", ") || t("incident.no_call") }}</span>
                  <span v-if="step.done">{{ step.nobody ? t("incident.step_nobody") : t("incident.step_done") }}</span>
                  <span v-else-if="step.due" :title="stamp(step.due)" :data-left="ms(step.due)"></span>
                  <span v-else class="tw-faint">{{ t("incident.step_idle") }}</span>
                </li>
              </ol>
            </section>
            <section v-if="i.messages.length" class="tw-section">
              <h2>{{ t("incident.messages") }}</h2>
              <ol class="tw-panel tw-history tw-messages"><tw-message v-for="m in messages" :key="m.id" :message="m"></tw-message></ol>
              <p v-if="i.messages.length > messages.length" class="tw-faint tw-unlisted">{{ t("incident.unlisted", { n: i.messages.length - messages.length }) }}</p>
              <p class="tw-unlisted"><a href="/deliveries">{{ t("deliveries.title") }}</a></p>
            </section>
          </div>
        </div>
      </template>
    </div>`,
  props: { incident: String },
  data: () => ({ i: null, failed: false, all: false, few: 12 }),
  computed: {
    members() {
      return this.all ? this.i.members : this.i.members.slice(0, this.few);
    },
    extent() {
      return [this.i.terminals ? tw.t("incident.concerns", { n: this.i.terminals }) : "", tw.cause(this.i)].filter(Boolean).join(" · ");
    },
    days() {
      return tw.reach(this.i.foretold);
    },
    messages() {
      return this.i.messages.slice(0, MESSAGES);
    },
    events() {
      return [...this.i.events].reverse();
    },
    // An address of another system: nothing but the web.
    link() {
      return /^https?:\/\//.test(this.i.ticket.url) ? this.i.ticket.url : "";
    },
  },
  mixins: [tw.list],
  methods: {
    async load() {
      try {
        this.i = await tw.json(`/api/v1/incidents/${encodeURIComponent(this.incident)}?lang=${window.TW.lang}`);
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
    ticketState: (state) => tw.ticketState(state),
    verdict: (word) => window.TW_TEXTS["verdict." + word] ?? word,
    stage: (i) => tw.stage(i),
    marks: (i) => tw.marks(i),
    where: (i) => tw.where(i),
    shipped: (text) => tw.shipped(text),
    fill: (line) => tw.fill(line),
    t: (key, values) => tw.t(key, values),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    age: (iso) => tw.age(iso ? Date.parse(iso) : 0),
    stamp: (iso, seconds) => tw.stamp(iso ? Date.parse(iso) : 0, seconds),
    levelName: (n) => tw.level(n),
  },
};
