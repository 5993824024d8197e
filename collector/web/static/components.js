// The components of one terminal with their current values. Vue escapes every text; nothing of a device becomes markup.
export default {
  template: `
    <div class="tw-components">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="groups && !groups.length" class="tw-note">{{ t("terminal.no_components") }}</p>
      <section v-for="group in groups || []" :key="group.device" class="tw-device">
        <article v-for="c in group.components" :key="c.name" class="tw-component" :class="'tw-edge-' + known(c.condition)" :data-due="ms(c.due)">
          <header>
            <h3>{{ c.name }}</h3>
            <span class="tw-chip tw-small" :class="'tw-' + known(c.condition)">{{ condition(c.condition) }}</span>
            <span class="tw-age" :data-at="ms(c.last_at)" :class="{ 'tw-stale': known(c.condition) === 'unknown' }">{{ age(c.last_at) }}</span>
          </header>
          <p v-if="c.reason" class="tw-reason">{{ shipped(c.reason) }}</p>
          <ul>
            <li v-for="s in c.signals" :key="s.signal">
              <button type="button" :class="{ 'tw-picked': picked(c, s) }" :aria-pressed="String(picked(c, s))"
                      :aria-label="t('terminal.show_history', { signal: s.signal }) + ': ' + say(s)" @click="pick(c, s)">
                <span class="tw-signal">{{ s.signal }}</span>
                <span class="tw-tags">
                  <span v-if="s.quality !== 'good'" class="tw-tag">{{ quality(s.quality) }}</span>
                  <span v-if="judged(s)" class="tw-mark" :class="'tw-' + known(s.state)">{{ condition(s.state) }}</span>
                </span>
                <span class="tw-value" :class="{ 'tw-none': s.value === null }"><span>{{ parts(s)[0] }}</span><span class="tw-unit">{{ parts(s)[1] }}</span></span>
              </button>
            </li>
          </ul>
        </article>
      </section>
    </div>`,
  props: { terminal: String, component: String, signal: String },
  data() {
    return { groups: null, failed: false, chosen: { component: this.component, signal: this.signal } };
  },
  mixins: [tw.list],
  methods: {
    async load() {
      try {
        const list = await tw.json(`/api/v1/terminals/${encodeURIComponent(this.terminal)}/components?lang=${window.TW.lang}`);
        const devices = new Map();
        const rank = { crit: 0, warn: 1, unknown: 2, ok: 3 };
        for (const c of list) {
          const device = c.name.split("/")[0];
          if (!devices.has(device)) devices.set(device, { device, components: [], rank: 3 });
          const group = devices.get(device);
          group.components.push(c);
          group.rank = Math.min(group.rank, rank[this.known(c.condition)]);
        }
        this.groups = [...devices.values()].sort((a, b) => a.rank - b.rank);
        this.failed = false;
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    shipped: (text) => tw.shipped(text),
    t: (key, values) => tw.t(key, values),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    age: (iso) => tw.age(iso ? Date.parse(iso) : 0),
    known: (name) => (["ok", "warn", "crit"].includes(name) ? name : "unknown"),
    condition: (name) => tw.condition(name),
    quality: (name) => tw.quality(name),
    judged: (s) => !["none", "ok"].includes(s.state),
    parts: (s) => tw.value(s.value, s.unit),
    say: (s) => tw.say(s.value, s.unit),
    picked(c, s) {
      return this.chosen.component === c.name && this.chosen.signal === s.signal;
    },
    pick(c, s) {
      this.chosen = { component: c.name, signal: s.signal };
      tw.address("component", c.name);
      tw.address("signal", s.signal);
      this.$emit("pick", { component: c.name, signal: s.signal });
      const chart = document.getElementById("tw-history");
      const box = chart.getBoundingClientRect();
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (box.top < 0 || box.top > innerHeight * 0.6) chart.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
    },
  },
};
