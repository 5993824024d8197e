// How far the installation is: refused claims first, since they wait for a person. Vue escapes every text.
const MOST = 200;
const STATES = ["expected", "claimed", "disputed"];

export default {
  template: `
    <div>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!now" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-else>
        <div class="tw-sup-tiles">
          <div v-for="name in ['terminals', 'expected', 'claimed', 'disputed']" :key="name" class="tw-tile" :class="{ 'tw-crit': name === 'disputed' && now.disputed }"><span class="tw-tile-label">{{ t("enrolment." + name) }}</span><b class="tw-figure">{{ number(now[name]) }}</b></div>
          <div class="tw-tile" :class="{ 'tw-warn': now.refused.length }"><span class="tw-tile-label">{{ t("enrolment.refused") }}</span><b class="tw-figure">{{ number(now.refused.length) }}</b></div>
        </div>
        <section v-if="now.refused.length" class="tw-panel">
          <h2>{{ t("enrolment.refused") }}</h2>
          <p class="tw-faint">{{ t("enrolment.refused_about") }} <span class="tw-code">tillwatch-collector expect refused</span></p>
          <table class="tw-table"><thead><tr><th>{{ t("enrolment.serial") }}</th><th>{{ t("enrolment.reason") }}</th><th>{{ t("enrolment.terminal") }}</th><th>{{ t("enrolment.image") }}</th><th>{{ t("enrolment.since") }}</th></tr></thead>
            <tbody><tr v-for="r in now.refused" :key="r.serial + r.at"><td class="tw-code">{{ r.serial }}</td><td class="tw-wrap">{{ t("enrolment.why_" + key(r.reason)) }}</td><td><a v-if="r.terminal" :href="'/terminal/' + encodeURIComponent(r.terminal)">{{ r.terminal }}</a><template v-else>–</template></td><td>{{ r.image || "–" }}</td><td>{{ age(r.at) }}</td></tr></tbody></table>
        </section>
        <section class="tw-panel">
          <h2>{{ t("enrolment.grants") }}</h2>
          <p v-if="!now.grants.length" class="tw-faint">{{ t("enrolment.grants_none") }} <span class="tw-code">tillwatch-collector enrol-token --list</span></p>
          <table v-else class="tw-table"><thead><tr><th>{{ t("enrolment.name") }}</th><th>{{ t("enrolment.kind") }}</th><th>{{ t("enrolment.used") }}</th><th>{{ t("enrolment.state") }}</th><th>{{ t("enrolment.until") }}</th><th>{{ t("enrolment.by") }}</th></tr></thead>
            <tbody><tr v-for="g in now.grants" :key="g.name"><td class="tw-wrap">{{ g.name }}</td><td>{{ t("enrolment.kind_" + g.kind) }}</td><td>{{ t("enrolment.of", { n: number(g.used), total: number(g.count) }) }}</td><td>{{ t("enrolment." + standing(g)) }}</td><td>{{ stamp(g.until) }}</td><td>{{ g.by }}</td></tr></tbody></table>
        </section>
        <section class="tw-panel">
          <h2>{{ t("enrolment.versions") }}</h2>
          <ul class="tw-deliveries-sums"><li v-for="[version, n] in Object.entries(now.versions)" :key="version"><a v-if="version" :href="'/?version=' + encodeURIComponent(version)">{{ version }}</a><span v-else class="tw-faint">{{ t("enrolment.untold") }}</span> <b>{{ number(n) }}</b></li></ul>
        </section>
        <section class="tw-panel">
          <h2>{{ t("enrolment.machines") }}</h2>
          <p class="tw-filters"><select v-model="state" :aria-label="t('enrolment.state')" @change="again"><option value="">{{ t("enrolment.all") }}</option><option v-for="s in states" :key="s" :value="s">{{ t("enrolment." + s) }}</option></select>
            <span class="tw-count"><a :href="address + '&format=csv'" download>CSV</a> <a :href="address + '&format=xlsx'" download>XLSX</a></span></p>
          <p v-if="list && !list.items.length" class="tw-faint">{{ t("enrolment.machines_none") }}</p>
          <table v-else-if="list" class="tw-table"><thead><tr><th>{{ t("enrolment.terminal") }}</th><th>{{ t("enrolment.place") }}</th><th>{{ t("enrolment.serial") }}</th><th>{{ t("enrolment.state") }}</th><th>{{ t("enrolment.since") }}</th><th>{{ t("enrolment.ring") }}</th></tr></thead>
            <tbody><tr v-for="m in list.items" :key="m.terminal + m.serial"><td><a v-if="m.state !== 'expected'" :href="'/terminal/' + encodeURIComponent(m.terminal)">{{ m.terminal }}</a><template v-else>{{ m.terminal }}</template></td><td class="tw-wrap">{{ m.branch }} <span class="tw-faint">{{ m.region }}</span></td><td class="tw-code">{{ m.serial }}</td><td>{{ t("enrolment." + m.state) }}<span v-if="m.released" class="tw-faint"> {{ t("enrolment.released") }}</span></td><td>{{ age(m.at) }}</td><td>{{ m.ring || "–" }}</td></tr></tbody></table>
          <p v-if="list && list.total > list.items.length" class="tw-note">{{ t("alarms.more", { n: list.items.length }) }}</p>
        </section>
      </template>
    </div>`,
  data: () => ({ now: null, list: null, failed: false, states: STATES, state: STATES.find((state) => state === new URL(location.href).searchParams.get("state")) || "" }),
  computed: {
    address() {
      return `/api/v1/enrolment/expected?${this.state ? `state=${encodeURIComponent(this.state)}` : ""}`;
    },
  },
  mixins: [tw.list],
  methods: {
    async load() {
      try {
        [this.now, this.list] = await Promise.all([tw.json("/api/v1/enrolment"), tw.json(`${this.address}&limit=${MOST}`)]);
        this.failed = false;
      } catch (error) {
        this.failed = !this.now;
        throw error;
      }
    },
    again() {
      tw.address("state", this.state);
      return this.load();
    },
    standing: (g) => (g.revoked_at ? "revoked" : g.good ? "good" : g.used >= g.count ? "complete" : "expired"),
    key: (reason) => reason.replaceAll("'", "").replaceAll(" ", "_"),
    age: (iso) => (iso ? tw.age(Date.parse(iso)) : "–"),
    stamp: (iso) => (iso ? tw.stamp(Date.parse(iso), true) : "–"),
    number: (n) => tw.number(n),
    t: (key, values) => tw.t(key, values),
  },
};
