// The way of the data, hop by hop: which part of it is guilty now. What lies behind a broken hop is unknown; a hop that no device watches says so.
const LOOKS = { guilty: "crit", unknown: "unknown", weak: "warn", planned: "planned", works: "ok" };
const LIMIT = 1000;

export default {
  template: `
    <div class="tw-aloft">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-if="missing" class="tw-note">{{ t("path.missing", { name: missing }) }} <a href="/path">{{ t("path.whole") }}</a></p>
      <template v-if="path">
        <p class="tw-path-verdict" :class="path.guilty ? 'tw-crit' : unclear ? 'tw-unknown' : 'tw-ok'" role="status"><span class="tw-mark" :class="path.guilty ? 'tw-crit' : unclear ? 'tw-unknown' : 'tw-ok'"></span>
          <b>{{ path.guilty ? t("path.guilty", { hop: t("hopname." + path.guilty), n: number(guilty.health.guilty) }) : unclear ? t("path.unclear", { n: number(unclear) }) : t("path.fine") }}</b>
          <span class="tw-faint">{{ t("path.counted", { n: number(path.terminals) }) }}<template v-if="path.unheard"> · {{ t("path.unheard", { n: number(path.unheard) }) }}</template></span></p>
        <ol class="tw-path" :aria-label="t('nav.path')">
          <li v-for="hop in path.hops" :key="hop.hop" class="tw-hop" :class="{ 'tw-hop-guilty': hop.hop === path.guilty, 'tw-hop-blind': blind(hop) }">
            <header><span class="tw-hop-sign" :class="'tw-hop-' + hop.hop" aria-hidden="true"></span><h2>{{ t("hopname." + hop.hop) }}</h2></header>
            <p class="tw-hop-share"><template v-if="hop.share !== null"><b>{{ share(hop.share) }}</b> <span class="tw-faint">{{ t("path.passes") }}</span></template><b v-else class="tw-hop-none" :aria-label="t('hophealth.unknown')">–</b></p>
            <div class="tw-shares" role="img" :aria-label="said(hop)"><i v-for="k in present(hop)" :key="k" :class="'tw-shares-' + looks[k]" :style="{ flexGrow: hop.health[k] }"></i></div>
            <ul class="tw-hop-counts"><li v-for="k in present(hop)" :key="k"><span class="tw-mark" :class="'tw-' + looks[k]">{{ t("hophealth." + k) }}</span><b>{{ number(hop.health[k]) }}</b></li></ul>
            <ul v-if="Object.keys(hop.why).length" class="tw-hop-why"><li v-for="(n, why) in hop.why" :key="why">{{ t("pathwhy." + why) }} <b>{{ number(n) }}</b></li></ul>
            <p v-if="hop.examples.length" class="tw-hop-examples">{{ t("path.such_as") }} <a v-for="id in hop.examples" :key="id" :href="'/terminal/' + encodeURIComponent(id)">{{ id }}</a></p>
            <p v-if="watch(hop)" class="tw-hop-watch tw-faint">{{ watch(hop) }}</p>
          </li>
        </ol>
        <section v-if="places.length" class="tw-panel tw-path-places"><h2>{{ t(region ? "path.by_branch" : "path.by_region") }}</h2>
          <div class="tw-scroll"><table class="tw-table tw-stacked">
            <thead><tr><th scope="col">{{ t(region ? "fleet.branch" : "aloft.region") }}</th><th v-for="hop in path.hops" :key="hop.hop" scope="col" class="tw-number">{{ t("hopname." + hop.hop) }}</th></tr></thead>
            <tbody><tr v-for="one in places" :key="one.name"><th scope="row" class="tw-whole"><a :href="'/path?' + one.scope + '=' + encodeURIComponent(one.name)">{{ one.name || "–" }}</a></th>
              <td v-for="hop in one.hops" :key="hop.hop" class="tw-number" :data-label="t('hopname.' + hop.hop)"><span v-if="hop.health.guilty" class="tw-mark tw-crit" :title="t('hophealth.guilty')">{{ number(hop.health.guilty) }}</span> <span :class="{ 'tw-faint': !hop.health.guilty }">{{ share(hop.share) }}</span></td></tr></tbody>
          </table></div>
        </section>
      </template>
    </div>`,
  data() {
    const asked = new URL(location.href).searchParams;
    return { path: null, places: [], failed: false, missing: "", region: asked.get("region") ?? "", branch: asked.get("branch") ?? "", terminal: asked.get("terminal") ?? "", order: ["guilty", "unknown", "weak", "planned", "works"], looks: LOOKS };
  },
  mixins: [tw.list, tw.aloft.words],
  computed: {
    guilty() {
      return this.path.hops.find((hop) => hop.hop === this.path.guilty);
    },
    unclear() {
      return Math.max(...this.path.hops.map((hop) => hop.health.unknown ?? 0));
    },
  },
  methods: {
    share: (share) => tw.share(share),
    blind: (hop) => !Object.keys(hop.health).some((k) => k !== "unknown" && hop.health[k]),
    present(hop) {
      return this.order.filter((k) => hop.health[k]);
    },
    said(hop) {
      return this.order.filter((k) => hop.health[k]).map((k) => `${tw.t(`hophealth.${k}`)}: ${tw.number(hop.health[k])}`).join(", ");
    },
    // The network hops are watched where a branch's own device tells of them.
    watch(hop) {
      if (!["lan", "wan"].includes(hop.hop) || !this.path.terminals || hop.watched >= this.path.terminals) return "";
      return hop.watched ? tw.t("path.watched_some", { n: tw.number(hop.watched), total: tw.number(this.path.terminals) }) : tw.t("path.watched_none");
    },
    async load() {
      const asked = new URLSearchParams();
      for (const name of ["region", "branch", "terminal"]) if (this[name]) asked.set(name, this[name]);
      try {
        this.path = await tw.json(`/api/v1/path?${asked}`);
        if (!this.branch && !this.terminal) this.places = (await tw.json(this.region ? `/api/v1/paths?by=branch&region=${encodeURIComponent(this.region)}&limit=${LIMIT}` : `/api/v1/paths?limit=${LIMIT}`)).items;
        this.failed = false;
        this.missing = "";
      } catch (error) {
        if (String(error.message).endsWith(": 404")) {
          this.missing = this.terminal || this.branch || this.region;
          return;
        }
        this.failed = true;
        throw error;
      }
    },
  },
};
