// The readings of one signal round a time, as they stand in the log, and the proof of the one that is meant. Vue escapes every text.
const STEP = 12; // to either side

export default {
  components: { "tw-prove": tw.parts.prove },
  template: `
    <div class="tw-readings">
      <p class="tw-faint tw-readings-about">{{ t("source.about") }}</p>
      <p v-if="failed" class="tw-note" role="status">{{ failed }}</p>
      <p v-else-if="!it" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-else>
        <dl class="tw-facts tw-readings-facts">
          <div><dt>{{ t("source.terminal") }}</dt><dd><a :href="'/terminal/' + encodeURIComponent(it.terminal)">{{ it.terminal }}</a></dd></div>
          <div><dt>{{ t("source.component") }}</dt><dd class="tw-code">{{ it.component }}</dd></div>
          <div><dt>{{ t("source.signal") }}</dt><dd class="tw-code">{{ it.signal }}</dd></div>
        </dl>
        <p v-if="it.retired" class="tw-note">{{ t("source.retired") }}</p>
        <p v-if="!it.readings.length" class="tw-note">{{ t("source.none") }}</p>
        <div v-else class="tw-readings-split">
          <div>
            <nav class="tw-filters" :aria-label="t('source.title')">
              <button type="button" class="tw-button" @click="go(it.readings[0])">← {{ t("source.earlier") }}</button>
              <button type="button" class="tw-button" @click="go(it.readings[it.readings.length - 1])">{{ t("source.later") }} →</button>
            </nav>
            <div class="tw-panel tw-scroll" tabindex="0" role="region" :aria-label="t('source.title')">
              <table class="tw-table tw-stacked">
                <thead><tr><th>{{ t("source.at") }}</th><th class="tw-right">{{ t("source.value") }}</th><th>{{ t("source.quality") }}</th><th>{{ t("source.received") }}</th><th class="tw-right">{{ t("source.batch") }}</th><th>{{ t("source.place") }}</th></tr></thead>
                <tbody>
                  <tr v-for="r in it.readings" :key="r.at + r.batch" :class="{ 'tw-chosen': r.chosen }" :aria-current="r.chosen ? 'true' : null">
                    <td><button type="button" class="tw-readings-pick" @click="go(r)"><span v-if="r.chosen" aria-hidden="true">▸ </span>{{ stamp(r.at) }}</button><span v-if="r.chosen" class="tw-visually-hidden">{{ t("source.chosen") }}</span></td>
                    <td class="tw-right"><b>{{ say(r.value) }}</b></td>
                    <td :data-label="t('source.quality')"><span :class="{ 'tw-stale': r.quality !== 'good' }">{{ quality(r.quality) }}</span></td>
                    <td :data-label="t('source.received')">{{ stamp(r.received) }}<span v-if="r.corrected_s" class="tw-faint"> · {{ t("source.corrected", { s: number(r.corrected_s) }) }}</span></td>
                    <td class="tw-right" :data-label="t('source.batch')">{{ number(r.batch) }}</td>
                    <td class="tw-code" :data-label="t('source.place')">{{ r.epoch.slice(0, 8) }}… / {{ r.seq }}</td>
                  </tr>
                </tbody>
              </table>
            </div>
          </div>
          <aside v-if="chosen" class="tw-panel tw-readings-proof">
            <h2>{{ t("source.chosen") }}</h2>
            <p class="tw-readings-value"><b>{{ say(chosen.value) }}</b></p>
            <p>{{ stamp(chosen.at) }}</p>
            <p class="tw-faint">{{ t("source.why") }}</p>
            <tw-prove v-if="may" :terminal="it.terminal" :component="it.component" :signal="it.signal" :at="chosen.at"></tw-prove>
            <p v-else class="tw-note">{{ t("source.not_allowed") }}</p>
          </aside>
        </div>
      </template>
    </div>`,
  props: { terminal: String, component: String, signal: String, at: String, may: Boolean },
  data() {
    return { it: null, failed: "", when: this.at };
  },
  computed: {
    chosen() {
      return this.it.readings.find((r) => r.chosen);
    },
  },
  mixins: [tw.list],
  methods: {
    async load() {
      const asked = new URLSearchParams({ component: this.component, signal: this.signal, count: STEP });
      if (this.when) asked.set("at", this.when);
      try {
        this.it = await tw.json(`/api/v1/terminals/${encodeURIComponent(this.terminal)}/readings?${asked}`);
        this.failed = "";
      } catch (error) {
        this.failed = this.it ? "" : tw.t("app.fetch_failed");
        throw error;
      }
    },
    go(reading) {
      this.when = reading.at;
      tw.address("at", reading.at);
      this.reader.run();
    },
    say(value) {
      return tw.say(value, this.it.unit);
    },
    quality: (name) => (name === "good" ? tw.t("source.good") : tw.quality(name)),
    stamp: (iso) => (iso ? `${tw.date(Date.parse(iso))} ${tw.time(Date.parse(iso), true)}` : ""),
    number: (n) => tw.number(n),
    t: (key, values) => tw.t(key, values),
  },
};
