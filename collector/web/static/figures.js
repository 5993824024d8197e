// Availability, service and alarm load of a period and a part of the fleet; every figure opens what is behind it. Vue escapes every text.
const KINDS = ["region", "branch", "class", "vendor", "terminal"];
const COUNTS = ["up", "down", "planned", "unmonitored"];
const PHASES = ["detect", "respond", "travel", "repair"];
const TARGETS = ["response", "restored_net", "restored_gross", "resolved_net", "resolved_gross"];
const QUALITY = ["first_fix_7", "first_fix_30", "repeated", "reopened", "no_fault_found", "false_alarms", "duplicates", "undelivered"];
const BEHIND = ["response", "restored_net", "restored_gross", "resolved_net", "resolved_gross", "first_fix_7", "first_fix_30", "repeated", "reopened", "duplicates"];
const BAD = { first_fix_7: "0", first_fix_30: "0" }; // of these the ones that were not are looked for; of the others those that were
const FILES = ["report", "workbook", "availability", "incidents", "kpi", "intervals"]; // of the report
const PAGE = 25;
const TRIES = 200; // five minutes: a month of 10,000 terminals takes about one
const AGAIN = 1500; // ms between two looks at what is being computed

const two = (n) => String(n).padStart(2, "0");
const pct = (share, digits = 3) => (share === null || share === undefined ? "–" : `${tw.number(share * 100, digits)} %`);
const length = (s) => (s === null || s === undefined ? "–" : s < 1 && s > 0 ? tw.span(1000) : tw.span(Math.round(s) * 1000));
const ms = (iso) => (iso ? Date.parse(iso) : 0);

// A stacked bar with its legend: pieces are [tone, share, name, value].
const Bar = {
  template: `
    <div class="tw-fig-split">
      <div class="tw-fig-bar" role="img" :aria-label="said"><i v-for="p in drawn" :key="p[0]" :class="'tw-fig-' + p[0]" :style="{ width: p[1] * 100 + '%' }"></i></div>
      <ul class="tw-fig-legend"><li v-for="p in pieces" :key="p[0]"><i :class="'tw-fig-' + p[0]" aria-hidden="true"></i>{{ p[2] }} <b>{{ p[3] }}</b></li></ul>
    </div>`,
  props: { pieces: Array },
  computed: {
    drawn() {
      return this.pieces.filter((p) => p[1] > 0);
    },
    said() {
      return this.pieces.map((p) => `${p[2]} ${p[3]}`).join(", ");
    },
  },
};

// What is behind a row: a list that loads itself, in pages.
const Behind = {
  components: { "tw-source": tw.parts.source },
  template: `
    <div class="tw-fig-behind">
      <p v-if="trouble" class="tw-note" role="status">{{ trouble }}</p>
      <p v-else-if="!items" class="tw-faint">{{ t("alarms.loading") }}</p>
      <table v-else-if="items.length" class="tw-table tw-fig-cards">
        <thead v-if="kind === 'intervals'"><tr><th>{{ t("figures.kind_terminal") }}</th><th>{{ t("interval.since") }}</th><th class="tw-right">{{ t("figures.length") }}</th><th>{{ t("interval.why") }}</th></tr></thead>
        <thead v-else-if="kind === 'supplies'"><tr><th>{{ t("figures.kind_terminal") }}</th><th>{{ t("figures.component") }}</th><th>{{ t("interval.since") }}</th><th class="tw-right">{{ t("figures.lasted") }}</th></tr></thead>
        <thead v-else><tr><th>{{ t("figures.incident") }}</th><th>{{ t("figures.kind_terminal") }}</th><th>{{ t("figures.failed_at") }}</th><th class="tw-right">{{ t("figures.answered") }}</th><th class="tw-right">{{ t("figures.restored") }}</th></tr></thead>
        <tbody v-if="kind === 'intervals'">
          <tr v-for="(r, k) in items" :key="k">
            <td><a class="tw-in-text" :href="own(r.terminal, r.since)">{{ r.terminal }}</a> <span class="tw-faint">{{ r.branch }}</span></td><td>{{ stamp(r.since) }}</td><td class="tw-right">{{ length(r.length_s) }}</td>
            <td class="tw-wrap">{{ r.text }}<span v-if="r.by" class="tw-tag">{{ t("interval.source_correction", { n: r.entry, by: r.by }) }}</span><span v-if="r.why" class="tw-faint"> {{ r.why }}</span></td>
          </tr>
        </tbody>
        <tbody v-else-if="kind === 'supplies'">
          <tr v-for="(r, k) in items" :key="k">
            <td><a :href="'/terminal/' + encodeURIComponent(r.terminal)">{{ r.terminal }}</a> <span class="tw-faint">{{ r.branch }}</span></td><td class="tw-code">{{ r.component }}</td><td>{{ stamp(r.since) }}</td>
            <td class="tw-right">{{ r.until ? length((ms(r.until) - ms(r.since)) / 1000) : t("figures.still") }}</td>
          </tr>
        </tbody>
        <tbody v-else>
          <tr v-for="r in items" :key="r.id">
            <td class="tw-wrap"><span class="tw-level-badge tw-small-badge" :class="'tw-l' + r.level" :title="level(r.level)" :aria-label="level(r.level)">{{ r.level }}</span> <a :href="'/incident/' + encodeURIComponent(r.id)">{{ r.text }}</a></td>
            <td><a v-if="r.terminal" :href="'/terminal/' + encodeURIComponent(r.terminal)">{{ r.terminal }}</a> <span class="tw-faint">{{ r.branch || r.region }}</span></td><td>{{ stamp(r.failed) }}</td>
            <td class="tw-right">{{ r.responded ? length((ms(r.responded) - ms(r.opened)) / 1000) : t("figures.not_yet") }}</td><td class="tw-right">{{ r.restored ? length((ms(r.restored) - ms(r.failed)) / 1000) : t("figures.not_yet") }}</td>
          </tr>
        </tbody>
      </table>
      <p v-else class="tw-faint">{{ t("figures.no_base") }}</p>
      <p class="tw-fig-under"><button v-if="items && items.length < total" type="button" class="tw-why-button" @click="more">{{ t("figures.more", { n: number(Math.min(page, total - items.length)) }) }}</button>
      <a v-if="items && items.length" :href="address + '&format=csv'" download>CSV</a> <a v-if="items && items.length" :href="address + '&format=xlsx'" download>XLSX</a></p>
    </div>`,
  props: { kind: String, address: String, month: String },
  data: () => ({ items: null, total: 0, trouble: "", page: PAGE }),
  mounted() {
    this.more();
  },
  methods: {
    async more() {
      try {
        const got = await tw.json(`${this.address}&limit=${PAGE}&offset=${this.items ? this.items.length : 0}`);
        this.items = [...(this.items || []), ...got.items];
        this.total = got.total;
      } catch {
        this.trouble = tw.t("app.fetch_failed");
      }
    },
    own(terminal, since) {
      return `/figures/${encodeURIComponent(terminal)}?${this.month}#at-${ms(since)}`;
    },
    level: (n) => tw.level(n),
    stamp: (iso) => tw.stamp(ms(iso)),
    ms,
    length,
    number: (n) => tw.number(n),
    t: (key, values) => tw.t(key, values),
  },
};

export default {
  components: { "tw-fig-split": Bar, "tw-behind": Behind },
  template: `
    <div class="tw-fig">
      <form class="tw-filters tw-fig-asked" @submit.prevent="apply">
        <span class="tw-ranges" role="group" :aria-label="t('figures.period')">
          <button type="button" :aria-label="t('figures.earlier')" :title="t('figures.earlier')" @click="step(-1)">‹</button>
          <label class="tw-fig-month"><span class="tw-visually-hidden">{{ t("figures.month") }}</span><input type="month" v-model="month" :max="thisMonth" @change="pick"></label>
          <button type="button" :aria-label="t('figures.later')" :title="t('figures.later')" :disabled="month >= thisMonth" @click="step(1)">›</button>
        </span>
        <button type="button" class="tw-button" :aria-expanded="String(spanOpen)" @click="spanOpen = !spanOpen">{{ t("figures.span") }}</button>
        <template v-if="spanOpen"><label>{{ t("figures.from") }} <input type="date" v-model="from" required></label><label>{{ t("figures.to") }} <input type="date" v-model="to" required></label></template>
        <select v-model="kind" :aria-label="t('figures.scope')" @change="name = ''; kind === 'fleet' && apply()"><option value="fleet">{{ t("figures.kind_fleet") }}</option><option v-for="k in kinds" :key="k" :value="k">{{ t("figures.kind_" + k) }}</option></select>
        <input v-if="kind !== 'fleet'" v-model="name" list="tw-fig-names" :aria-label="t('figures.scope_name')" :placeholder="t('figures.scope_name')" maxlength="120" autocomplete="off" required @change="apply">
        <datalist id="tw-fig-names"><option v-for="n in names" :key="n" :value="n"></option></datalist>
        <button v-if="kind !== 'fleet' || spanOpen" type="submit" class="tw-button">{{ t("figures.show") }}</button>
      </form>
      <p v-if="failed" class="tw-note tw-fig-failed" role="alert">{{ t("figures.failed", { why: failed }) }}</p>
      <div v-else-if="!it || it.state === 'computing'" class="tw-note tw-fig-wait" role="status">
        <template v-if="it"><b>{{ t("figures.computing", { name: it.period.name }) }}</b><progress max="100" :value="it.done" :aria-label="t('figures.computing', { name: it.period.name })"></progress><p>{{ t("figures.computing_about") }}</p></template>
        <template v-else>{{ t("alarms.loading") }}</template>
      </div>
      <template v-else>
        <div class="tw-fig-head">
          <h2>{{ heading }}</h2>
          <span class="tw-faint">{{ t("figures.as_of", { at: stamp(it.computed), log: number(it.log) }) }} · {{ t("figures.days_by", { zone: it.period.zone }) }}</span>
          <span v-if="it.renewing" class="tw-tag" role="status">{{ t("figures.renewing", { done: it.done }) }}</span>
          <button v-else type="button" class="tw-why-button" @click="renew">{{ t("figures.renew") }}</button>
          <details class="tw-fig-take"><summary>{{ t("figures.take") }}</summary>
            <ul><li v-for="file in files" :key="file"><button type="button" class="tw-why-button" :disabled="Boolean(taking)" @click="take(file)">{{ t("figures.take_" + file) }} <span class="tw-faint">{{ file === "report" ? "HTML" : file === "workbook" ? "XLSX" : "CSV" }}</span></button></li></ul>
            <p v-if="taking" class="tw-faint" role="status">{{ t("figures.taking") }}</p><p v-else-if="notTaken" class="tw-note" role="alert">{{ notTaken }}</p>
          </details>
        </div>
        <p v-if="cut" class="tw-note tw-fig-cut">{{ t("figures.cut", { at: stamp(it.period.to) }) }}</p>
        <div class="tw-fig-tiles">
          <div v-for="tile in tiles" :key="tile.label" class="tw-tile tw-fig-tile" :class="tile.tone">
            <span class="tw-tile-label">{{ tile.label }}</span><b class="tw-figure">{{ tile.value }}</b>
            <span v-if="tile.verdict" class="tw-mark" :class="tile.good ? 'tw-ok' : 'tw-crit'">{{ tile.verdict }}</span>
            <span class="tw-fig-note">{{ tile.note }}</span>
          </div>
        </div>

        <section class="tw-fig-section tw-panel">
          <h2>{{ t("figures.where_time") }}</h2>
          <p class="tw-faint">{{ t("figures.where_about", { time: span(f.definitions.network.scheduled_s), n: number(f.terminals) }) }}</p>
          <div v-for="d in definitions" :key="d" class="tw-fig-definition">
            <h3>{{ t("figures." + d) }}</h3>
            <div><tw-fig-split :pieces="shares(f.definitions[d])"></tw-fig-split><p v-if="notUp(f.definitions[d])" class="tw-fig-zoom"><span class="tw-faint">{{ t("figures.not_up", { share: pct(notUp(f.definitions[d])) }) }}</span><span class="tw-fig-bar tw-fig-thin" role="presentation"><i v-for="c in ['down', 'planned', 'unmonitored']" :key="c" v-show="f.definitions[d][c]" :class="'tw-fig-' + c" :style="{ width: (100 * f.definitions[d][c]) / notUp(f.definitions[d]) + '%' }"></i></span></p></div>
            <dl class="tw-fig-facts">
              <div><dt>{{ t("figures.best_worst") }}</dt><dd>{{ pct(f.definitions[d].availability_worst) }} … {{ pct(f.definitions[d].availability_best) }}</dd></div>
              <div><dt>{{ t("figures.operating") }}</dt><dd>{{ pct(f.definitions[d].operating_ratio) }}</dd></div>
              <div><dt :title="t('figures.impact_about')">{{ t("figures.impact") }}</dt><dd>{{ pct(f.definitions[d].impact) }}</dd></div>
              <div><dt>{{ t("figures.interruptions") }}</dt><dd>{{ number(f.definitions[d].interruptions) }}</dd></div>
            </dl>
          </div>
          <p v-if="f.by_corrections_s || f.by_late_readings_s" class="tw-faint">{{ t("figures.by_corrections", { time: span(f.by_corrections_s), late: span(f.by_late_readings_s) }) }}</p>
        </section>

        <section class="tw-fig-section tw-panel" id="causes">
          <header><h2>{{ t("figures.causes") }}</h2>
            <span class="tw-ranges" role="group" :aria-label="t('figures.counts')"><button v-for="c in ['down', 'unmonitored', 'planned']" :key="c" type="button" :aria-pressed="String(counts === c)" @click="turn(c)">{{ t("figures." + c) }}</button></span>
            <span class="tw-fig-files"><a :href="address('causes', { counts }) + '&format=csv'" download>CSV</a> <a :href="address('causes', { counts }) + '&format=xlsx'" download>XLSX</a></span>
          </header>
          <p class="tw-faint">{{ t("figures.causes_about") }}</p>
          <p v-if="!causes" class="tw-faint">{{ t("alarms.loading") }}</p>
          <p v-else-if="!causes.length" class="tw-note">{{ t("figures.none_down") }}</p>
          <template v-else>
            <div class="tw-fig-parties" role="group" :aria-label="t('figures.party')">
              <button v-for="p in parties" :key="p.key" type="button" :aria-pressed="String(party === p.key)" @click="party = party === p.key ? '' : p.key"><b>{{ p.text }}</b><span>{{ pct(p.share, 1) }}</span><i :style="{ width: p.share * 100 + '%' }"></i></button>
            </div>
            <table class="tw-table tw-fig-cards">
              <thead><tr><th>{{ t("figures.cause") }}</th><th>{{ t("figures.party") }}</th><th class="tw-right">{{ t("figures.length") }}</th><th class="tw-right">{{ t("figures.share") }}</th><th class="tw-right">{{ t("figures.stretches") }}</th><th class="tw-right">{{ t("figures.terminals") }}</th></tr></thead>
              <tbody v-for="c in shownCauses" :key="c.reason + c.party">
                <tr>
                  <td class="tw-wrap"><button type="button" class="tw-fig-open" :aria-expanded="String(opened === 'c' + c.reason + c.party)" @click="open('c' + c.reason + c.party)">{{ c.text }}</button></td>
                  <td :data-label="t('figures.party')">{{ c.party_text }}</td><td class="tw-right" :data-label="t('figures.length')">{{ span(c.length_s) }}</td>
                  <td class="tw-right" :data-label="t('figures.share')"><span class="tw-fig-mini"><i :style="{ width: c.share * 100 + '%' }" :class="'tw-fig-' + counts"></i></span>{{ pct(c.share, 1) }}</td>
                  <td class="tw-right" :data-label="t('figures.stretches')">{{ number(c.stretches) }}</td><td class="tw-right" :data-label="t('figures.terminals')">{{ number(c.terminals) }}</td>
                </tr>
                <tr v-if="opened === 'c' + c.reason + c.party" class="tw-fig-row-open"><td colspan="6"><tw-behind kind="intervals" :month="asked" :address="address('intervals', { counts, reason: c.reason, party: c.party })"></tw-behind></td></tr>
              </tbody>
            </table>
          </template>
        </section>

        <section class="tw-fig-section tw-panel" id="ran-out">
          <header><h2>{{ t("figures.ran_out") }}</h2><span class="tw-fig-files"><a :href="address('ran-out') + '&format=csv'" download>CSV</a> <a :href="address('ran-out') + '&format=xlsx'" download>XLSX</a></span></header>
          <p class="tw-faint">{{ t("figures.ran_out_about") }}</p>
          <p v-if="!ranOut" class="tw-faint">{{ t("alarms.loading") }}</p>
          <p v-else-if="!ranOut.length" class="tw-note">{{ t("figures.ran_out_none") }}</p>
          <table v-else class="tw-table tw-fig-cards">
            <thead><tr><th>{{ t("figures.what") }}</th><th>{{ t("figures.party") }}</th><th class="tw-right">{{ t("figures.times") }}</th><th class="tw-right">{{ t("figures.terminals") }}</th><th class="tw-right">{{ t("figures.lasted") }}</th><th class="tw-right">{{ t("figures.down_by_it") }}</th></tr></thead>
            <tbody v-for="r in ranOut" :key="r.rule">
              <tr>
                <td class="tw-wrap"><button type="button" class="tw-fig-open" :aria-expanded="String(opened === 'r' + r.rule)" @click="open('r' + r.rule)">{{ r.text }}</button></td>
                <td :data-label="t('figures.party')">{{ r.party_text }}</td><td class="tw-right" :data-label="t('figures.times')">{{ number(r.episodes) }}</td><td class="tw-right" :data-label="t('figures.terminals')">{{ number(r.terminals) }}</td>
                <td class="tw-right" :data-label="t('figures.lasted')">{{ span(r.length_s) }}</td><td class="tw-right" :data-label="t('figures.down_by_it')"><b v-if="r.down_s">{{ span(r.down_s) }}</b><span v-else class="tw-faint">–</span></td>
              </tr>
              <tr v-if="opened === 'r' + r.rule" class="tw-fig-row-open"><td colspan="6"><tw-behind kind="supplies" :month="asked" :address="address('supplies', { rule: r.rule })"></tw-behind></td></tr>
            </tbody>
          </table>
        </section>

        <section class="tw-fig-section tw-panel" id="service">
          <h2>{{ t("figures.service") }}</h2>
          <div class="tw-fig-two">
            <div>
              <h3>{{ t("figures.targets") }}</h3>
              <ul class="tw-fig-list">
                <li v-for="r in ratios" :key="r.key">
                  <div class="tw-fig-line"><span>{{ r.name }}</span><b>{{ pct(r.share, 1) }}</b></div>
                  <div class="tw-fig-bar tw-fig-thin" role="presentation"><i class="tw-fig-up" :style="{ width: (r.share || 0) * 100 + '%' }"></i></div>
                  <div class="tw-fig-line tw-faint"><span>{{ of(r) }}</span><button v-if="r.base > r.part" type="button" class="tw-why-button" :aria-expanded="String(opened === 'm' + r.key)" @click="open('m' + r.key)">{{ number(r.base - r.part) }} {{ t("figures.missed") }}</button></div>
                  <tw-behind v-if="opened === 'm' + r.key" kind="incidents" :month="asked" :address="address('incidents', { measure: r.key, verdict: '0' })"></tw-behind>
                </li>
              </ul>
            </div>
            <div>
              <h3>{{ t("figures.phases") }}</h3>
              <p v-if="!f.service.restore.n" class="tw-note">{{ t("figures.phases_none") }}</p>
              <template v-else>
                <p><b class="tw-fig-big">{{ span(f.service.restore.mean_s) }}</b> <span class="tw-faint">{{ t("figures.mttr_note", { n: number(f.service.restore.n), longest: span(f.service.restore.longest_s) }) }}</span></p>
                <tw-fig-split :pieces="phases"></tw-fig-split>
                <p v-if="f.service.phases.verify.n" class="tw-faint">{{ t("figures.verify_note", { mean: span(f.service.phases.verify.mean_s), n: number(f.service.phases.verify.n) }) }}</p>
                <p><button type="button" class="tw-why-button" :aria-expanded="String(opened === 'slow')" @click="open('slow')">{{ t("figures.slowest") }}</button></p>
                <tw-behind v-if="opened === 'slow'" kind="incidents" :month="asked" :address="address('incidents', { slowest: 'restore' })"></tw-behind>
              </template>
              <h3>{{ t("figures.quality") }}</h3>
              <ul class="tw-fig-list">
                <li><div class="tw-fig-line"><span>{{ t("figures.acknowledge") }}</span><b>{{ span(f.service.acknowledge.mean_s) }}</b></div></li>
                <li v-for="q in quality" :key="q.key">
                  <div class="tw-fig-line"><span>{{ q.name }}</span><b>{{ pct(q.share, 1) }}</b></div>
                  <div class="tw-fig-line tw-faint"><span>{{ of(q) }}</span><button v-if="q.behind" type="button" class="tw-why-button" :aria-expanded="String(opened === 'q' + q.key)" @click="open('q' + q.key)">{{ t("figures.behind") }}</button></div>
                  <tw-behind v-if="opened === 'q' + q.key" kind="incidents" :month="asked" :address="address('incidents', { measure: q.key, verdict: q.verdict })"></tw-behind>
                </li>
              </ul>
            </div>
          </div>
        </section>

        <section class="tw-fig-section tw-panel" id="load">
          <h2>{{ t("figures.load") }}</h2>
          <p class="tw-faint">{{ t("figures.load_about") }}</p>
          <div class="tw-fig-two">
            <dl class="tw-fig-facts tw-fig-load"><div v-for="l in load_" :key="l.name" :class="{ 'tw-fig-bad': l.bad }"><dt>{{ l.name }}</dt><dd>{{ l.value }}<span v-if="l.bad" aria-hidden="true"> ▲</span></dd><dd class="tw-faint">{{ l.note }}</dd></div></dl>
            <div>
              <h3>{{ t("figures.noisy") }} <span class="tw-faint">{{ t("figures.noisy_share", { share: pct(f.alarm_load.top_share, 1) }) }}</span></h3>
              <p v-if="!f.alarm_load.top.length" class="tw-faint">–</p>
              <ol v-else class="tw-fig-list"><li v-for="(n, k) in f.alarm_load.top" :key="k" class="tw-fig-line"><span>{{ n.text }} · <a class="tw-in-text" :href="'/terminal/' + encodeURIComponent(n.terminal)">{{ n.terminal }}</a> <span class="tw-code tw-faint">{{ n.component }}</span></span><b>{{ number(n.n) }}</b></li></ol>
            </div>
          </div>
        </section>

        <section class="tw-fig-section tw-panel" id="trend">
          <h2>{{ t("figures.trend") }}</h2>
          <p class="tw-faint">{{ t("figures.trend_about") }}<span v-if="trendWaits" role="status"> · {{ t("figures.trend_waiting", { done: trendDone, n: trendAll }) }}</span></p>
          <div v-if="trend" class="tw-fig-trend">
            <em v-if="limitAt !== null" :style="{ bottom: 'calc(38px + (100% - 38px) * ' + limitAt / 100 + ')' }"><span>{{ pct(trend.interruption_limit, 2) }}</span></em>
            <button v-for="m in trend.months" :key="m.name" type="button" :disabled="m.state === 'none'" :aria-label="monthSaid(m)" :title="monthSaid(m)" :aria-current="m.name === it.period.name ? 'true' : null" @click="go(m.name)">
              <span class="tw-fig-column"><i v-if="m.row" :class="m.row.over_limit ? 'tw-fig-down' : 'tw-fig-calm'" :style="{ height: Math.max(1, (100 * m.row.down) / trendMost) + '%' }"></i><span v-else-if="m.state !== 'none'" class="tw-fig-pending">…</span></span>
              <span class="tw-fig-month-name">{{ m.name.slice(5) }}<br><small>{{ m.name.slice(2, 4) }}</small></span>
            </button>
          </div>
          <details v-if="trend"><summary>{{ t("figures.trend_table") }}</summary>
            <div class="tw-scroll" tabindex="0" role="region" :aria-label="t('figures.trend')"><table class="tw-table"><thead><tr><th>{{ t("figures.month") }}</th><th class="tw-right">{{ t("figures.interruption") }}</th><th class="tw-right">{{ t("figures.availability") }}</th><th class="tw-right">{{ t("figures.unmonitored") }}</th><th class="tw-right">{{ t("figures.response") }}</th><th class="tw-right">{{ t("figures.repaired") }}</th><th class="tw-right">{{ t("figures.mttr") }}</th><th class="tw-right">{{ t("figures.incidents") }}</th></tr></thead>
            <tbody><tr v-for="m in trend.months" :key="m.name"><th scope="row">{{ m.name }}</th><template v-if="m.row"><td class="tw-right">{{ pct(m.row.down) }}</td><td class="tw-right">{{ pct(m.row.availability_worst) }}</td><td class="tw-right">{{ pct(m.row.unmonitored) }}</td><td class="tw-right">{{ pct(m.response.share, 1) }}</td><td class="tw-right">{{ pct(m.restored_net.share, 1) }}</td><td class="tw-right">{{ span(m.row.restore_s) }}</td><td class="tw-right">{{ number(m.row.incidents) }}</td></template><td v-else colspan="7" class="tw-faint">{{ m.state === "none" ? t("figures.trend_none") : "…" }}</td></tr></tbody></table></div>
          </details>
        </section>

        <section v-if="it.scope.kind !== 'terminal'" class="tw-fig-section tw-panel" id="parts">
          <header><h2>{{ t("figures.parts") }}</h2>
            <span class="tw-ranges" role="group" :aria-label="t('figures.parts')"><button v-for="k in tabs" :key="k" type="button" :aria-pressed="String(tab === k)" @click="turnTab(k)">{{ t("figures.kind_" + k) }}</button></span>
            <select v-model="sort" :aria-label="t('figures.sort')" @change="loadParts(true)"><option v-for="s in ['down', 'full', 'unmonitored', 'restore', 'incidents', 'alarms', 'name']" :key="s" :value="s">{{ t("figures.sort_" + s) }}</option></select>
            <span class="tw-fig-files"><a :href="address('scopes', { kind: tab, sort }) + '&format=csv'" download>CSV</a> <a :href="address('scopes', { kind: tab, sort }) + '&format=xlsx'" download>XLSX</a></span>
          </header>
          <div v-if="parts" class="tw-scroll" tabindex="0" role="region" :aria-label="t('figures.parts')">
            <table class="tw-table">
              <thead><tr><th>{{ t("figures.kind_" + tab) }}</th><th v-if="tab !== 'terminal'" class="tw-right">{{ t("figures.terminals") }}</th><th class="tw-right">{{ t("figures.interruption") }}</th><th class="tw-right">{{ t("figures.availability") }}</th><th class="tw-right">{{ t("figures.unmonitored") }}</th><th class="tw-right">{{ t("figures.impact") }}</th><th class="tw-right">{{ t("figures.incidents") }}</th><th class="tw-right">{{ t("figures.mttr") }}</th><th class="tw-right">{{ t("figures.alarm_count") }}</th></tr></thead>
              <tbody><tr v-for="p in parts" :key="p.scope.name">
                <td><a :href="into(p)">{{ p.scope.name || t("figures.no_name") }}</a> <span v-if="tab === 'terminal'" class="tw-faint">{{ p.scope.branch }}</span></td><td v-if="tab !== 'terminal'" class="tw-right">{{ number(p.terminals) }}</td>
                <td class="tw-right"><span v-if="p.over_limit" class="tw-fig-over" :title="t('figures.above', { limit: pct(it.interruption_limit, 2) })">▲ <span class="tw-visually-hidden">{{ t("figures.above", { limit: pct(it.interruption_limit, 2) }) }}</span></span>{{ pct(p.down) }}</td>
                <td class="tw-right">{{ pct(p.availability_worst) }}</td><td class="tw-right">{{ pct(p.unmonitored) }}</td><td class="tw-right">{{ pct(p.impact) }}</td><td class="tw-right">{{ number(p.incidents) }}</td><td class="tw-right">{{ span(p.restore_s) }}</td><td class="tw-right">{{ number(p.alarms) }}</td>
              </tr></tbody>
            </table>
          </div>
          <p v-if="parts && parts.length < partsAll" class="tw-fig-under"><button type="button" class="tw-button" @click="loadParts(false)">{{ t("figures.more", { n: number(Math.min(page, partsAll - parts.length)) }) }}</button></p>
        </section>

        <section class="tw-fig-section tw-panel" id="corrections">
          <header><h2>{{ t("figures.corrections") }}</h2><span class="tw-fig-files"><a href="/api/v1/corrections?format=csv" download>CSV</a> <a href="/api/v1/corrections?format=xlsx" download>XLSX</a></span></header>
          <p class="tw-faint">{{ t("figures.corrections_about") }}</p>
          <p v-if="corrections && !corrections.length" class="tw-note">{{ t("figures.corrections_none") }}</p>
          <ul v-else class="tw-fig-list"><li v-for="c in corrections || []" :key="c.entry" class="tw-fig-correction"><span><a class="tw-in-text" :href="own(c)">{{ c.terminal }}</a> {{ stamp(c.since) }} – {{ stamp(c.until) }} → <b>{{ t("figures." + c.counts_as) }}</b></span><span>{{ c.reason }}</span><span class="tw-faint">{{ c.by }}, {{ stamp(c.at) }} · {{ t("source.entry", { n: number(c.entry) }) }}</span></li></ul>
        </section>
        <p class="tw-faint">{{ t("figures.report_note") }}</p>
      </template>
    </div>`,
  data() {
    const asked = new URL(location.href).searchParams;
    const [kind, ...rest] = (asked.get("scope") || "fleet").split(":");
    const now = new Date(tw.now());
    const last = new Date(now.getFullYear(), now.getMonth() - 1, 1);
    const own = asked.get("from") ? "" : asked.get("month") || `${last.getFullYear()}-${two(last.getMonth() + 1)}`;
    return {
      it: null, failed: "", month: own, from: asked.get("from") || "", to: asked.get("to") || "", spanOpen: Boolean(asked.get("from")), kind, name: rest.join(":"),
      names: [], kinds: KINDS, definitions: ["network", "any", "full"], counts: "down", party: "", opened: "", causes: null, ranOut: null, trend: null, corrections: null,
      files: FILES, taking: "", notTaken: "", tab: "", sort: "down", parts: null, partsAll: 0, page: PAGE, anew: false, timer: 0, thisMonth: `${now.getFullYear()}-${two(now.getMonth() + 1)}`, whole: "",
    }; // prettier-ignore
  },
  computed: {
    f() {
      return this.it.figures;
    },
    asked() {
      return new URLSearchParams(this.from && this.to ? { from: this.from, to: this.to } : { month: this.month }).toString();
    },
    heading() {
      const scope = this.it.scope.kind === "fleet" ? tw.t("figures.kind_fleet") : `${tw.t(`figures.kind_${this.it.scope.kind}`)} ${this.it.scope.name}`;
      return `${scope} · ${this.it.period.name.replace("_", " – ")}`;
    },
    cut() {
      return ms(this.it.period.to) < ms(this.it.period.asked_to);
    },
    tiles() {
      const { f, it } = this;
      const network = f.definitions.network;
      const limit = pct(it.interruption_limit, 2);
      const good = network.interruption_net === null ? null : network.interruption_net <= it.interruption_limit;
      const s = f.service;
      return [
        { label: tw.t("figures.interruption"), value: pct(network.interruption_net), verdict: good === null ? "" : tw.t(good ? "figures.within" : "figures.above", { limit }), good, note: tw.t("figures.over_limit", { n: tw.number(f.terminals_over_limit), total: tw.number(f.terminals) }) },
        { label: tw.t("figures.availability"), value: pct(network.availability_worst), note: tw.t("figures.availability_note", { best: pct(network.availability_best) }) },
        { label: tw.t("figures.response"), value: pct(s.response.share, 1), note: this.of(s.response) },
        { label: tw.t("figures.repaired"), value: pct(s.restored_net.share, 1), note: this.of(s.restored_net) },
        { label: tw.t("figures.mttr"), value: length(s.restore.mean_s), note: s.restore.n ? tw.t("figures.mttr_note", { n: tw.number(s.restore.n), longest: length(s.restore.longest_s) }) : tw.t("figures.no_base") },
        { label: tw.t("figures.incidents"), value: tw.number(s.incidents), note: tw.t("figures.incidents_note", { open: tw.number(s.open), mtbf: length(s.mtbf_s) }) },
        { label: tw.t("figures.alarms"), value: f.alarm_load.per_day === null ? "–" : tw.number(f.alarm_load.per_day, 1), note: tw.t("figures.alarms_note", { n: tw.number(f.alarm_load.alarms) }) },
      ];
    },
    parties() {
      const sums = new Map();
      for (const c of this.causes) sums.set(c.party, { key: c.party, text: c.party_text, share: (sums.get(c.party)?.share || 0) + c.share });
      return [...sums.values()].sort((a, b) => b.share - a.share);
    },
    shownCauses() {
      return this.causes.filter((c) => !this.party || c.party === this.party);
    },
    ratios() {
      return TARGETS.map((key) => {
        const level = this.it.targets["2"] || Object.values(this.it.targets)[0] || [0, 0];
        return { key, name: tw.t(`figures.target_${key}`, { time: tw.length(level[key === "response" ? 0 : 1]) }), ...this.f.service[key] };
      });
    },
    quality() {
      return QUALITY.map((key) => {
        const ratio = this.f.service[key];
        const verdict = BAD[key] || "1";
        const some = verdict === "1" ? ratio.part : ratio.base - ratio.part;
        return { key, name: tw.t(`figures.${key}`), verdict, behind: BEHIND.includes(key) && some > 0, ...ratio };
      });
    },
    phases() {
      const all = this.f.service.phases;
      const total = PHASES.reduce((sum, p) => sum + (all[p].mean_s || 0), 0);
      return PHASES.map((p) => [p, total ? (all[p].mean_s || 0) / total : 0, tw.t(`figures.${p}`), length(all[p].mean_s)]);
    },
    load_() {
      const l = this.f.alarm_load;
      return [
        { name: tw.t("figures.per_hour"), value: l.per_operator_hour === null ? "–" : tw.number(l.per_operator_hour, 2), note: tw.t("figures.per_hour_note"), bad: l.per_operator_hour > 6 },
        { name: tw.t("figures.peak"), value: tw.number(l.peak_hour), note: tw.t("figures.peak_note"), bad: l.peak_hour > 15 },
        { name: tw.t("figures.floods"), value: pct(l.floods.share, 2), note: tw.t("figures.floods_note"), bad: l.floods.share > 0.01 },
        { name: tw.t("figures.without_action"), value: pct(l.without_action.share, 1), note: tw.t("figures.without_note") },
        { name: tw.t("figures.standing"), value: tw.number(l.standing), note: "" },
        { name: tw.t("figures.chattering"), value: tw.number(l.chattering), note: "", bad: l.chattering > 0 },
        { name: tw.t("figures.shelved"), value: tw.number(l.shelved), note: "" },
      ];
    },
    tabs() {
      const inside = { fleet: KINDS, region: ["branch", "terminal"] }[this.it.scope.kind] || ["terminal"];
      return inside.filter((k) => k === "terminal" || this.it.kinds[k] > 0);
    },
    trendMost() {
      return Math.max(...this.trend.months.map((m) => m.row?.down || 0), (this.trend.interruption_limit || 0) * 1.25, 1e-9);
    },
    limitAt() {
      return this.trend.interruption_limit ? (100 * this.trend.interruption_limit) / this.trendMost : null;
    },
    trendAll() {
      return this.trend ? this.trend.months.filter((m) => m.state !== "none").length : 0;
    },
    trendDone() {
      return this.trend ? this.trend.months.filter((m) => m.state === "ready").length : 0;
    },
    trendWaits() {
      return this.trendDone < this.trendAll;
    },
  },
  mounted() {
    this.load();
    this.mark();
  },
  unmounted() {
    clearTimeout(this.timer);
  },
  methods: {
    scope() {
      return this.kind === "fleet" ? "fleet" : `${this.kind}:${this.name}`;
    },
    address(what, more = {}) {
      return `/api/v1/figures${what ? `/${what}` : ""}?${this.asked}&${new URLSearchParams({ scope: this.scope(), lang: window.TW.lang, ...more })}`;
    },
    // A report that is not made yet is asked for until it is: a link would save the problem as a file.
    async take(file) {
      this.taking = file;
      this.notTaken = "";
      const address = this.address("report", { file });
      try {
        for (let left = TRIES; ; left--) {
          const answer = await fetch(address);
          if (answer.ok) {
            const name = decodeURIComponent((answer.headers.get("Content-Disposition") || "").split("''")[1] || file);
            const at = URL.createObjectURL(await answer.blob());
            Object.assign(document.createElement("a"), { href: at, download: name }).click();
            setTimeout(() => URL.revokeObjectURL(at), 10 * AGAIN);
            break;
          }
          if (answer.status !== 503 || !answer.headers.get("Retry-After") || !left) throw new Error((await answer.json()).detail);
          await new Promise((go) => setTimeout(go, AGAIN));
        }
      } catch (error) {
        this.notTaken = tw.t("figures.failed", { why: error.message });
      } finally {
        this.taking = "";
      }
    },
    async load() {
      clearTimeout(this.timer);
      const anew = this.anew ? { anew: "true" } : {};
      this.anew = false;
      try {
        const answer = await fetch(this.address("", anew), { cache: "no-cache" });
        const said = await answer.json();
        if (!answer.ok) {
          this.failed = said.detail || String(answer.status);
          if (answer.status === 503) this.timer = setTimeout(() => this.load(), 10 * AGAIN);
          return;
        }
        const fresh = !this.it || this.it.computed !== said.computed || this.it.scope.name !== said.scope.name;
        this.failed = "";
        this.it = said;
        if (said.state === "computing" || said.renewing) this.timer = setTimeout(() => this.load(), AGAIN);
        if (said.state === "ready" && fresh) this.around();
      } catch {
        this.failed = this.it ? "" : tw.t("app.fetch_failed");
        this.timer = setTimeout(() => this.load(), 10 * AGAIN);
      }
    },
    // What stands around the figures themselves.
    around() {
      if (!this.tabs.includes(this.tab)) this.tab = this.tabs.find((k) => k !== "class" && k !== "vendor") || this.tabs[0];
      this.loadCauses();
      this.loadParts(true);
      this.loadTrend();
      tw.json(this.address("ran-out")).then((got) => (this.ranOut = got.items)).catch(() => {});
      tw.json("/api/v1/corrections?limit=20").then((got) => (this.corrections = got.items)).catch(() => {});
      this.loadNames();
    },
    loadCauses() {
      tw.json(this.address("causes", { counts: this.counts })).then((got) => (this.causes = got.items)).catch(() => {});
    },
    async loadParts(first) {
      const offset = first ? 0 : this.parts.length;
      try {
        const got = await tw.json(`${this.address("scopes", { kind: this.tab, sort: this.sort })}&limit=${PAGE}&offset=${offset}`);
        this.parts = first ? got.items : [...this.parts, ...got.items];
        this.partsAll = got.total;
      } catch {
        this.parts = this.parts || [];
      }
    },
    async loadTrend() {
      try {
        this.trend = await tw.json(this.address("trend"));
        if (this.trendWaits) setTimeout(() => this.loadTrend(), 2 * AGAIN);
      } catch {
        this.trend = null;
      }
    },
    async loadNames() {
      if (this.kind === "fleet") return;
      const query = new URLSearchParams({ scope: "fleet", kind: this.kind, sort: "name", limit: 1000, lang: window.TW.lang });
      const got = await tw.json(`/api/v1/figures/scopes?${this.asked}&${query}`).catch(() => ({ items: [] }));
      this.names = got.items.map((row) => row.scope.name).filter(Boolean);
    },
    mark() {
      const url = new URL(location.href);
      url.search = new URLSearchParams([...new URLSearchParams(this.asked), ...(this.kind === "fleet" ? [] : [["scope", this.scope()]])]).toString();
      history.replaceState(history.state, "", url);
    },
    apply() {
      if (this.kind !== "fleet" && !this.name) return this.loadNames();
      if (!(this.spanOpen && this.from && this.to)) this.from = this.to = "";
      this.causes = this.ranOut = this.parts = this.trend = null;
      this.it = null;
      this.opened = this.party = "";
      this.mark();
      this.load();
    },
    pick() {
      this.from = this.to = "";
      this.spanOpen = false;
      if (this.month) this.apply();
    },
    go(month) {
      this.month = month;
      this.pick();
      window.scrollTo({ top: 0 });
    },
    step(by) {
      const [year, month] = (this.month || this.thisMonth).split("-").map(Number);
      const at = new Date(year, month - 1 + by, 1);
      this.go(`${at.getFullYear()}-${two(at.getMonth() + 1)}`);
    },
    renew() {
      this.anew = true;
      this.load();
    },
    turn(counts) {
      this.counts = counts;
      this.party = this.opened = "";
      this.loadCauses();
    },
    turnTab(kind) {
      this.tab = kind;
      this.loadParts(true);
    },
    open(key) {
      this.opened = this.opened === key ? "" : key;
    },
    into(p) {
      if (p.scope.kind === "terminal") return `/figures/${encodeURIComponent(p.scope.name)}?${this.asked}`;
      return `/figures?${this.asked}&scope=${encodeURIComponent(`${p.scope.kind}:${p.scope.name}`)}`;
    },
    own(c) {
      return `/figures/${encodeURIComponent(c.terminal)}?month=${c.since.slice(0, 7)}`;
    },
    notUp: (d) => (d.down || 0) + (d.planned || 0) + (d.unmonitored || 0),
    shares: (d) => COUNTS.map((c) => [c, d[c] || 0, tw.t(`figures.${c}`), pct(d[c])]),
    of(r) {
      if (!r.base && !r.open) return tw.t("figures.no_base");
      return tw.t(r.open ? "figures.met_open" : "figures.met_of", { part: tw.number(r.part), base: tw.number(r.base), open: tw.number(r.open) });
    },
    monthSaid(m) {
      if (!m.row) return `${m.name}: ${m.state === "none" ? tw.t("figures.trend_none") : "…"}`;
      return `${m.name}: ${tw.t("figures.interruption")} ${pct(m.row.down)}, ${tw.t("figures.availability")} ${pct(m.row.availability_worst)}`;
    },
    span: length,
    pct,
    stamp: (iso) => tw.stamp(ms(iso)),
    number: (n) => tw.number(n),
    t: (key, values) => tw.t(key, values),
  },
};
