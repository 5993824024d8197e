// Everybody's accounts: who may do what on which part of the fleet, who has signed in, and what helps who cannot. Vue escapes every text.
const V1 = "/api/v1/people";
const ROLES = ["viewer", "technician", "supervisor", "administrator", "auditor"];
const LIMIT = 1000;

const Reach = {
  template: `
    <label class="tw-pp-wide" v-for="kind in ['regions', 'branches']" :key="kind"><span>{{ t("people." + kind) }}</span>
      <input :value="modelValue[kind].join(', ')" :disabled="disabled" maxlength="2000" autocomplete="off" :placeholder="t('profile.whole')" @change="change(kind, $event.target.value)"></label>`,
  props: { modelValue: Object, disabled: Boolean },
  emits: ["update:modelValue"],
  methods: {
    t: (key) => tw.t(key),
    change(kind, text) {
      const names = [...new Set(text.split(/[,，;；\n]/).map((name) => name.trim()).filter(Boolean))];
      this.$emit("update:modelValue", { ...this.modelValue, [kind]: names });
    },
  },
};

export default {
  components: { "tw-reach": Reach },
  template: `
    <div class="tw-account-page tw-people">
      <div class="tw-filters tw-pp-bar">
        <input type="search" v-model="wanted" :placeholder="t('people.filter')" :aria-label="t('people.filter')" maxlength="80">
        <span class="tw-grow"></span>
        <button type="button" class="tw-button tw-pp-go" @click="open()">{{ t("people.add") }}</button>
      </div>
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <p v-else-if="!list" class="tw-note">{{ t("alarms.loading") }}</p>
      <p v-else-if="!rows.length" class="tw-note">{{ t("people.none") }}</p>
      <ul v-else class="tw-pp-list tw-card">
        <li v-for="p in rows" :key="p.name">
          <div class="tw-pp-who"><b>{{ p.full_name || p.name }}</b> <span v-if="p.full_name" class="tw-faint">{{ p.name }}</span>
            <p class="tw-pp-tags"><span class="tw-tag">{{ t("role." + p.role) }}</span><span class="tw-faint">{{ reach(p.scope) }}</span></p></div>
          <div class="tw-pp-state">
            <span v-if="!p.active" class="tw-tag">{{ t("people.disabled") }}</span>
            <span v-else-if="!p.password && !p.provider" class="tw-mark tw-warn">{{ t("people.not_begun") }}</span>
            <span v-else-if="p.factor" class="tw-mark tw-ok">{{ t("people.with_factor") }}</span>
            <span v-else-if="p.provider" class="tw-mark tw-ok">{{ t("people.vouched") }}</span>
            <span v-else class="tw-faint">{{ t("people.password_only") }}</span>
            <p class="tw-faint">{{ p.seen_at ? t("people.seen", { seen_at: stamp(p.seen_at) }) : t("people.never") }}</p>
          </div>
          <button type="button" class="tw-button" :aria-label="t('people.edit_of', { name: p.full_name || p.name })" @click="open(p)">{{ t("people.edit") }}</button>
        </li>
      </ul>

      <dialog ref="dialog" class="tw-pp-dialog" :aria-label="form && (form.name || t('people.add'))" @close="form = null">
        <form v-if="form" @submit.prevent="save">
          <header><h2>{{ of ? of.full_name || of.name : t("people.add") }}</h2><button type="button" class="tw-pp-close" :aria-label="t('profile.cancel')" @click="$refs.dialog.close()">×</button></header>
          <div v-if="handed" class="tw-pp-fresh" role="status"><p>{{ t(handed.kind === "link" ? "people.link_lead" : "people.given_lead") }}</p><code class="tw-code tw-pp-secret">{{ handed.text }}</code></div>
          <template v-if="!handed || of">
            <div class="tw-pp-form">
              <label><span>{{ t("entry.name") }}</span><input v-model="form.name" :disabled="!!of" required maxlength="60" autocapitalize="none" autocomplete="off" spellcheck="false"></label>
              <label><span>{{ t("profile.full_name") }}</span><input v-model="form.full_name" maxlength="80" autocomplete="off"></label>
              <label><span>{{ t("people.role") }}</span><select v-model="form.role" :disabled="of && of.provider"><option v-for="r in roles" :key="r" :value="r">{{ t("role." + r) }}</option></select></label>
              <p class="tw-faint tw-pp-means">{{ means }}</p>
              <tw-reach v-model="form.scope" :disabled="form.role === 'administrator'"></tw-reach>
              <label v-if="form.role === 'viewer'" class="tw-pp-check tw-pp-wide"><input type="checkbox" v-model="form.board"><span>{{ t("people.board") }}</span></label>
              <label v-if="of" class="tw-pp-check tw-pp-wide"><input type="checkbox" v-model="form.active"><span>{{ t("people.active") }}</span></label>
            </div>
            <p v-if="of" class="tw-faint">{{ t("people.ends") }}</p>
          </template>
          <p role="alert" class="tw-pp-wrong">{{ wrong }}</p>
          <footer><button v-if="!handed || of" class="tw-button tw-pp-go" :disabled="busy">{{ t(of ? "profile.save" : "people.add_link") }}</button><button v-else type="button" class="tw-button" @click="$refs.dialog.close()">{{ t("entry.kept") }}</button></footer>
          <template v-if="of && of.active">
            <h3>{{ t("people.help") }}</h3>
            <p class="tw-pp-foot">
              <button v-if="!of.provider" type="button" class="tw-button" :disabled="busy" @click="link">{{ t("people.link") }}</button>
              <button v-if="!of.provider" type="button" class="tw-button" :disabled="busy" @click="give">{{ t("people.give") }}</button>
              <button v-if="of.factor" type="button" class="tw-button" :disabled="busy" @click="resetFactor">{{ t("people.reset_factor") }}</button>
              <button v-if="of.sessions" type="button" class="tw-button" :disabled="busy" @click="endSessions">{{ t("people.end_sessions", { n: of.sessions }) }}</button>
            </p>
            <ul v-if="tokens.length" class="tw-pp-list">
              <li v-for="k in tokens" :key="k.number"><div><b>{{ k.name }}</b> <span class="tw-tag">{{ t("role." + k.role) }}</span></div><button type="button" class="tw-button" :disabled="busy" @click="revoke(k)">{{ t("profile.revoke") }}</button></li>
            </ul>
          </template>
        </form>
      </dialog>
    </div>`,
  data: () => ({ list: null, failed: false, wanted: "", form: null, of: null, tokens: [], handed: null, wrong: "", busy: false, roles: ROLES }),
  mixins: [tw.list],
  computed: {
    rows() {
      const q = this.wanted.trim().toLowerCase();
      return this.list.filter((p) => !q || [p.name, p.full_name, tw.t(`role.${p.role}`), ...p.scope.regions, ...p.scope.branches].some((text) => text.toLowerCase().includes(q)));
    },
    means() {
      return tw.t(`role.means_${this.form.role}`);
    },
  },
  methods: {
    t: (key, values) => tw.t(key, values),
    stamp: (iso) => tw.stamp(Date.parse(iso)),
    reach: (scope) => [...scope.regions, ...scope.branches].join(", ") || tw.t("profile.whole"),
    async load() {
      try {
        this.list = (await tw.json(`${V1}?limit=${LIMIT}`)).items;
        this.failed = false;
        if (this.of) this.of = this.list.find((p) => p.name === this.of.name) ?? this.of;
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    async open(person = null) {
      this.of = person;
      this.handed = null;
      this.wrong = "";
      this.tokens = [];
      const { full_name = "", role = "viewer", scope = { regions: [], branches: [] }, board = false, active = true, name = "" } = person ?? {};
      this.form = { name, full_name, role, scope, board, active };
      await this.$nextTick();
      this.$refs.dialog.showModal();
      if (person?.tokens) this.tokens = await tw.json(this.path("/tokens"));
    },
    path(more = "") {
      return `${V1}/${encodeURIComponent(this.of.name)}${more}`;
    },
    async act(method, path, body) {
      this.busy = true;
      this.wrong = "";
      try {
        return (await tw.act(method, path, body)) ?? {};
      } catch (error) {
        this.wrong = error.message;
        return null;
      } finally {
        this.busy = false;
      }
    },
    async save() {
      const { name, full_name, role, board, active } = this.form;
      const scope = role === "administrator" ? { regions: [], branches: [] } : this.form.scope;
      const wish = { full_name, scope, board: board && role === "viewer" };
      if (this.of) {
        if (await this.act("PUT", this.path(), { ...wish, active, ...(this.of.provider ? {} : { role }) })) this.$refs.dialog.close();
        return;
      }
      const made = await this.act("POST", V1, { ...wish, name, role });
      if (made) this.handed = { kind: "link", text: location.origin + made.invitation.address };
    },
    async link() {
      const made = await this.act("POST", this.path("/invitation"));
      if (made) this.handed = { kind: "link", text: location.origin + made.address };
    },
    async give() {
      const made = await this.act("POST", this.path("/password"));
      if (made) this.handed = { kind: "word", text: made.password };
    },
    resetFactor() {
      return this.act("DELETE", this.path("/factor"));
    },
    endSessions() {
      return this.act("DELETE", this.path("/sessions"));
    },
    async revoke(token) {
      if (await this.act("DELETE", this.path(`/tokens/${token.number}`))) this.tokens = await tw.json(this.path("/tokens"));
    },
  },
};
