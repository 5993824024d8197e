// One diagnosis card: what it is, what branch staff may look at, what to bring, and what was found here before. Prints on one page. Vue escapes every text.
export default {
  template: `
    <div class="tw-onecard">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!c" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-else>
        <div class="tw-onecard-bar"><a href="/cards">← {{ t("cards.back") }}</a><span class="tw-grow"></span><a class="tw-button tw-onecard-link" :href="'/rules/' + encodeURIComponent(c.rule)">{{ t("cards.rule") }}</a><button type="button" class="tw-button" @click="print">{{ t("cards.print") }}</button></div>
        <article class="tw-panel tw-onecard-sheet">
          <header><h1>{{ c.text }}</h1><span class="tw-tag">{{ partyOf(c.party) }}</span><span class="tw-code tw-faint">{{ c.rule }}</span></header>
          <p v-if="c.means" class="tw-onecard-means">{{ c.means }}</p>
          <div class="tw-onecard-two">
            <section><h2>{{ t("alarms.cause") }}</h2><p>{{ c.cause }}</p></section>
            <section><h2>{{ t("alarms.consequence") }}</h2><p>{{ c.consequence }}</p></section>
          </div>
          <section class="tw-onecard-action"><h2>{{ t("alarms.action") }}</h2><p>{{ c.action }}</p></section>
          <div class="tw-onecard-two">
            <section v-if="c.branch_checks.length"><h2>{{ t("card.branch") }}</h2><ul><li v-for="one in c.branch_checks" :key="one">{{ one }}</li></ul></section>
            <section v-if="c.engineer_brings.length"><h2>{{ t("card.engineer") }}</h2><ul><li v-for="one in c.engineer_brings" :key="one">{{ one }}</li></ul></section>
          </div>
          <p v-if="c.parts.length" class="tw-faint">{{ t("cards.tells") }}: {{ c.parts.join(", ") }}</p>
        </article>
        <p class="tw-onecard-seen">{{ c.raised ? t("cards.seen", { n: number(c.raised), age: age(c.last_at) }) : t("cards.never") }}</p>
        <div class="tw-onecard-two tw-onecard-below">
          <section>
            <h2>{{ t("cards.fixes") }}</h2>
            <p v-if="!c.fixes.length" class="tw-note">{{ t("cards.fixes_none") }}</p>
            <ul v-else class="tw-panel tw-onecard-rows"><li v-for="(f, k) in c.fixes" :key="k"><b>{{ verdict(f.verdict) }}<template v-if="f.part">: {{ f.part }}</template></b><span class="tw-faint"><a :href="'/incident/' + encodeURIComponent(f.last_incident)">{{ t("cards.fix", { n: f.count, date: date(f.last_at) }) }}</a></span></li></ul>
          </section>
          <section>
            <h2>{{ t("cards.incidents") }}</h2>
            <p v-if="!living.length" class="tw-note">{{ t("cards.incidents_none") }}</p>
            <ul v-else class="tw-panel tw-onecard-rows"><li v-for="i in living" :key="i.id"><span><span class="tw-level-badge tw-small-badge" :class="'tw-l' + i.level">{{ i.level }}</span> <a :href="'/incident/' + encodeURIComponent(i.id)">{{ i.terminal || i.branch }}</a></span><span class="tw-faint" :data-at="ms(i.opened_at)">{{ age(i.opened_at) }}</span></li></ul>
            <template v-if="over.length"><h2>{{ t("cards.earlier") }}</h2><ul class="tw-panel tw-onecard-rows"><li v-for="i in over.slice(0, 8)" :key="i.id"><a :href="'/incident/' + encodeURIComponent(i.id)">{{ i.terminal || i.branch }}</a><span class="tw-faint">{{ date(i.opened_at) }}</span></li></ul></template>
          </section>
        </div>
        <p v-if="c.related.length" class="tw-onecard-related">{{ t("cards.related") }}: <template v-for="(r, k) in c.related" :key="r"><template v-if="k">, </template><a :href="'/cards/' + encodeURIComponent(r)" class="tw-code">{{ r }}</a></template></p>
      </template>
    </div>`,
  props: { rule: String },
  data: () => ({ c: null, failed: false }),
  mixins: [tw.list],
  computed: {
    living() {
      return this.c.incidents.filter((i) => !["resolved", "closed"].includes(i.state));
    },
    over() {
      return this.c.incidents.filter((i) => ["resolved", "closed"].includes(i.state));
    },
  },
  methods: {
    async load() {
      try {
        this.c = await tw.json(`/api/v1/cards/${encodeURIComponent(this.rule)}?lang=${window.TW.lang}`);
        this.failed = false;
      } catch (error) {
        this.failed = !this.c;
        throw error;
      }
    },
    print: () => window.print(),
    partyOf: (name) => tw.t(`party.${name}`),
    verdict: (word) => tw.t(`verdict.${word}`),
    number: (n) => tw.number(n),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    age: (iso) => tw.age(iso ? Date.parse(iso) : 0),
    date: (iso) => tw.date(iso ? Date.parse(iso) : 0),
    t: (name, values) => tw.t(name, values),
  },
};
