// What waits too long for its receiver, above every page. The age counts on by itself and is kept from screen readers: they are told once, with the time.
const SHOWN = 3; // receivers; the page behind the link has all

export default {
  template: `
    <div role="alert" class="tw-undelivered">
      <div v-for="w in waiting.slice(0, shown)" :key="w.connector" class="tw-banner">
        <b>{{ t("undelivered.text", { receiver: w.connector, n: count(w), levels: levels(w) }) }}</b>
        <span>{{ t("undelivered.since", { at: stamp(w.since) }) }}<span aria-hidden="true"> · <span :data-at="w.since">{{ age(w.since) }}</span></span></span>
        <span class="tw-undelivered-why" :title="w.answer">{{ w.answer || t("undelivered.untried") }}</span>
        <a :href="'/deliveries?receiver=' + encodeURIComponent(w.connector)">{{ t("undelivered.show") }}</a>
      </div>
      <div v-if="waiting.length > shown" class="tw-banner"><a href="/deliveries">{{ t("undelivered.more", { n: waiting.length - shown }) }}</a></div>
    </div>`,
  props: { waiting: Array },
  data: () => ({ shown: SHOWN }),
  updated() {
    tw.tick();
  },
  methods: {
    count: (w) => w.levels.reduce((sum, [, n]) => sum + n, 0),
    levels: (w) => w.levels.map(([level, n]) => `${tw.level(level)}: ${n}`).join(", "),
    t: (key, values) => tw.t(key, values),
    age: (at) => tw.age(at),
    stamp: (at) => tw.stamp(at),
  },
};
