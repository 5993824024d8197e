// The audit log: who did what, page by page backwards, each entry checked on demand, and the chain followed over a stretch. Vue escapes every text.
const PAGE = 50;
const NS_2001 = 1e18; // a number beyond it is a time in ns, of this century

export default {
  template: `
    <div class="tw-audit">
      <section class="tw-section tw-audit-chain" :class="{ 'tw-audit-broken': broken }" :aria-label="t('audit.chain')">
        <div>
          <h2>{{ t("audit.chain") }}</h2>
          <p class="tw-faint">{{ t("audit.chain_means") }}</p>
        </div>
        <div v-if="chain">
          <p v-if="chain.verified_ok === true"><span class="tw-mark tw-ok">{{ t("monitoring.state_ok") }}</span> {{ t("audit.verified", { n: number(chain.verified_entries), age: age(chain.verified_at) }) }}</p>
          <p v-else-if="chain.verified_ok === false"><span class="tw-mark tw-crit">{{ t("monitoring.state_fail") }}</span> {{ t("audit.verified_not", { text: chain.verified_text, age: age(chain.verified_at) }) }}</p>
          <p v-else><span class="tw-mark tw-unknown">{{ t("monitoring.state_unknown") }}</span> {{ t("audit.verified_never") }} <span class="tw-code">tillwatch-collector verify --log</span></p>
          <p v-if="chain.stretch"><span class="tw-mark" :class="chain.stretch.ok ? 'tw-ok' : 'tw-crit'">{{ t(chain.stretch.ok ? "monitoring.state_ok" : "monitoring.state_fail") }}</span>
            {{ t(chain.stretch.ok ? "audit.followed" : "audit.followed_not", { first: number(chain.stretch.first), last: number(chain.stretch.last), age: age(chain.stretch.looked_at), text: chain.stretch.faults.length ? chain.stretch.faults[0].text : "" }) }}
            <span class="tw-code tw-audit-digest" :title="t('audit.digest')">{{ chain.stretch.digest }}</span></p>
          <p><button type="button" class="tw-button" :disabled="following" @click="follow">{{ following ? t("audit.following") : t("audit.follow", { n: number(Math.min(chain.most, chain.head)) }) }}</button>
            <span class="tw-faint">{{ t("audit.head") }}: {{ number(chain.head) }}</span></p>
          <p v-if="trouble" role="alert" class="tw-audit-trouble">{{ trouble }}</p>
        </div>
      </section>
      <form class="tw-filters" @submit.prevent="fresh">
        <input type="search" v-model="f.actor" :placeholder="t('audit.person')" :aria-label="t('audit.person')" maxlength="100" @change="fresh">
        <input type="search" v-model="f.subject" :placeholder="t('audit.subject')" :aria-label="t('audit.subject')" maxlength="100" @change="fresh">
        <select v-model="f.group" :aria-label="t('audit.group')" @change="fresh"><option value="">{{ t("audit.group") }}</option><option v-for="g in groups" :key="g" :value="g">{{ kind(g) }}</option></select>
        <label class="tw-audit-date"><span>{{ t("audit.since") }}</span><input type="date" v-model="f.from" @change="fresh"></label>
        <label class="tw-audit-date"><span>{{ t("audit.until") }}</span><input type="date" v-model="f.to" @change="fresh"></label>
        <button type="submit" class="tw-visually-hidden">{{ t("audit.title") }}</button>
        <span class="tw-grow"></span>
        <a class="tw-button tw-audit-export" :href="address(0, 50) + '&format=csv'" download>{{ t("audit.export") }}</a>
      </form>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!list" class="tw-note">{{ t("alarms.loading") }}</p>
      <template v-else>
        <p v-if="!whole" class="tw-note">{{ t("audit.part") }}</p>
        <p v-if="!list.length" class="tw-note">{{ before ? t("audit.none", { at: stamp(back) }) : t("audit.nothing") }}</p>
        <div v-else class="tw-panel tw-audit-scroll">
          <table class="tw-table tw-stacked">
            <thead><tr><th class="tw-number">{{ t("audit.entry") }}</th><th>{{ t("audit.when") }}</th><th>{{ t("audit.who") }}</th><th>{{ t("audit.what") }}</th><th>{{ t("audit.about") }}</th><th>{{ t("audit.detail") }}</th></tr></thead>
            <tbody>
              <template v-for="e in list" :key="e.n">
                <tr :class="{ 'tw-audit-open': open === e.n }">
                  <td class="tw-number"><button type="button" class="tw-audit-n" :aria-expanded="String(open === e.n)" :title="t('audit.prove', { n: e.n })" @click="check(e)">{{ e.n }}</button></td>
                  <td class="tw-audit-when"><time :datetime="e.at">{{ stamp(e.at) }}</time></td>
                  <td><b>{{ e.actor }}</b></td>
                  <td class="tw-audit-act"><span :title="e.action">{{ act(e.action) }}</span> <span class="tw-tag">{{ kind(e.group) }}</span></td>
                  <td><a v-if="e.terminal" :href="'/terminal/' + encodeURIComponent(e.terminal)">{{ e.terminal }}</a><a v-else-if="e.detail.incident" :href="'/incident/' + encodeURIComponent(e.detail.incident)" class="tw-code">{{ e.detail.incident }}</a><template v-else>{{ about(e) }}</template></td>
                  <td class="tw-whole tw-audit-facts"><span v-for="f in facts(e)" :key="f.name"><span class="tw-faint">{{ f.name }}</span> {{ f.value }}</span></td>
                </tr>
                <tr v-if="open === e.n" class="tw-audit-proof">
                  <td colspan="6">
                    <p v-if="!proof" class="tw-faint">{{ t("alarms.loading") }}</p>
                    <template v-else>
                      <p><span class="tw-mark" :class="proof.ok ? 'tw-ok' : 'tw-crit'">{{ t(proof.ok ? "audit.holds" : "audit.broken") }}</span> <span v-if="proof.signed !== null" class="tw-mark" :class="proof.signed ? 'tw-ok' : 'tw-crit'">{{ t(proof.signed ? "audit.signed" : "audit.unsigned") }}</span></p>
                      <dl>
                        <div><dt>{{ t("audit.digest") }}</dt><dd class="tw-code">{{ proof.entry.digest }}</dd></div>
                        <div><dt>{{ t("audit.prev") }}</dt><dd class="tw-code">{{ proof.prev }}</dd></div>
                        <div v-for="(value, name) in proof.facts" :key="name"><dt class="tw-code">{{ name }}</dt><dd class="tw-code">{{ value }}</dd></div>
                        <div><dt>{{ t("audit.command") }}</dt><dd class="tw-code">tillwatch-collector verify --log</dd></div>
                      </dl>
                    </template>
                  </td>
                </tr>
              </template>
            </tbody>
          </table>
        </div>
        <p class="tw-audit-foot"><button v-if="before" type="button" class="tw-button" :disabled="busy" @click="further">{{ t("audit.more") }}</button> <span class="tw-faint">{{ t("audit.looked", { n: number(looked), at: stamp(back) }) }}</span></p>
      </template>
    </div>`,
  data() {
    const asked = new URL(location.href).searchParams;
    const f = Object.fromEntries(["actor", "subject", "group", "from", "to"].map((name) => [name, asked.get(name) ?? ""]));
    for (const name of ["from", "to"]) if (!/^\d{4}-\d{2}-\d{2}$/.test(f[name])) f[name] = ""; // an address that somebody typed
    return {
      f, list: null, before: 0, looked: 0, back: "", whole: true, failed: false, busy: false, chain: null, following: false, trouble: "", open: 0, proof: null,
      groups: ["handling", "planning", "correction", "rule", "rollout", "key", "sign_in", "look", "people", "collector"],
    };
  },
  mixins: [tw.list],
  computed: {
    broken() {
      return this.chain && (this.chain.verified_ok === false || this.chain.stretch?.ok === false);
    },
  },
  methods: {
    address(before, limit) {
      const asked = new URLSearchParams({ before, limit });
      for (const name of ["actor", "subject", "group"]) if (this.f[name]) asked.set(name, this.f[name]);
      if (this.f.from) asked.set("from", tw.midnight(this.f.from));
      if (this.f.to) asked.set("to", tw.midnight(this.f.to, 1));
      return `/api/v1/audit?${asked}`;
    },
    take(got) {
      Object.assign(this, { before: got.before, back: got.back_to, whole: got.whole, failed: false });
      this.looked += got.looked_at;
    },
    async load() {
      try {
        const [got, chain] = await Promise.all([tw.json(this.address(0, PAGE)), tw.json("/api/v1/audit/chain")]);
        this.looked = 0;
        this.take(got);
        this.list = got.items;
        this.chain = chain;
      } catch (error) {
        this.failed = !this.list;
        throw error;
      }
    },
    fresh() {
      for (const [name, value] of Object.entries(this.f)) tw.address(name, value);
      this.reader.run();
    },
    async further() {
      this.busy = true;
      try {
        const got = await tw.json(this.address(this.before, PAGE));
        this.take(got);
        this.list = [...this.list, ...got.items];
      } catch {
        this.failed = true;
      }
      this.busy = false;
    },
    async check(entry) {
      this.open = this.open === entry.n ? 0 : entry.n;
      this.proof = null;
      if (this.open) this.proof = await tw.json(`/api/v1/audit/${entry.n}`).catch(() => null);
    },
    async follow() {
      this.following = true;
      this.trouble = "";
      try {
        const got = await tw.act("POST", "/api/v1/audit/stretch", {});
        this.chain = { ...this.chain, stretch: got };
      } catch (error) {
        this.trouble = error.message;
      }
      this.following = false;
    },
    // In words where the catalogue has them: a later version may write acts that it does not know.
    act(action) {
      const key = `audit.act_${action.replaceAll("-", "_")}`;
      return tw.has(key) ? tw.t(key) : action;
    },
    about(e) {
      const place = e.detail.place ?? {};
      const [kind, name] = String(e.detail.scope ?? "").split(/:(.*)/s);
      if (name && ["branch", "region"].includes(kind)) return name;
      return e.detail.scope || place.branch || place.region || e.detail.branch || "";
    },
    // What says something, times of the machine as those of a person. The entry itself, opened, has all of it as it stands.
    facts(e) {
      const said = [];
      const shown = e.terminal ? [] : ["incident"];
      for (const [name, value] of Object.entries(e.detail)) {
        if (shown.includes(name) || value === null || value === "" || (typeof value === "number" && !value)) continue;
        if (typeof value === "object") {
          const inner = Object.entries(value).filter(([, one]) => one !== "" && one !== null);
          if (inner.length) said.push({ name, value: inner.map(([key, one]) => `${key}: ${one}`).join(" · ") });
        } else said.push({ name, value: typeof value === "number" && value > NS_2001 ? tw.stamp(value / 1e6, true) : /^\d{4}-\d\d-\d\dT\d\d:/.test(value) ? tw.stamp(Date.parse(value), true) || value : String(value) });
      }
      return said;
    },
    kind: (group) => tw.t(`audit.group_${group}`),
    t: (name, values) => tw.t(name, values),
    number: (n) => tw.number(n),
    stamp: (iso) => tw.stamp(iso ? Date.parse(iso) : 0, true),
    age: (iso) => tw.age(iso ? Date.parse(iso) : 0),
  },
};
