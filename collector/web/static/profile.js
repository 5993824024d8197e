// One's own account: how the console speaks, the password, the second factor, where one is signed in, and which programs speak for one. Vue escapes every text.
const V1 = "/api/v1/me";

export default {
  template: `
    <div class="tw-account-page tw-own-account">
      <p v-if="failed" class="tw-note" role="status">{{ t("app.fetch_failed") }}</p>
      <template v-if="me">
        <section class="tw-section tw-card" aria-labelledby="tw-pp-self">
          <h2 id="tw-pp-self">{{ me.full_name || me.name }}</h2>
          <p class="tw-faint">{{ t("profile.is", { name: me.name, role: t("role." + me.role), scope }) }}</p>
          <form class="tw-pp-form" @submit.prevent="save">
            <label><span>{{ t("profile.full_name") }}</span><input v-model="form.full_name" maxlength="80" autocomplete="name"></label>
            <label><span>{{ t("profile.language") }}</span><select v-model="form.language"><option value="">{{ t("profile.of_browser") }}</option><option value="en">English</option><option value="zh">简体中文</option></select></label>
            <label><span>{{ t("profile.zone") }}</span><input v-model="form.zone" list="tw-pp-zones" maxlength="60" :placeholder="t('profile.of_browser') + ' (' + browserZone + ')'" autocomplete="off" spellcheck="false"></label>
            <label><span>{{ t("profile.theme") }}</span><select v-model="form.theme"><option value="">{{ t("profile.of_system") }}</option><option value="light">{{ t("profile.light") }}</option><option value="dark">{{ t("profile.dark") }}</option></select></label>
            <datalist id="tw-pp-zones"><option v-for="zone in zones" :key="zone" :value="zone"></option></datalist>
            <p class="tw-pp-foot"><button class="tw-button tw-pp-go" :disabled="busy">{{ t("profile.save") }}</button><span role="status" class="tw-faint">{{ said.self }}</span><span role="alert" class="tw-pp-wrong">{{ wrong.self }}</span></p>
          </form>
        </section>

        <section v-if="me.password" class="tw-section tw-card" aria-labelledby="tw-pp-password">
          <h2 id="tw-pp-password">{{ t("profile.password") }}</h2>
          <form class="tw-pp-form" @submit.prevent="password">
            <input type="hidden" autocomplete="username" :value="me.name">
            <label><span>{{ t("profile.before") }}</span><input v-model="word.before" type="password" autocomplete="current-password" required maxlength="256"></label>
            <label><span>{{ t("entry.new_password") }}</span><input v-model="word.password" type="password" autocomplete="new-password" required minlength="12" maxlength="256" aria-describedby="tw-pp-rule"></label>
            <label><span>{{ t("entry.again") }}</span><input v-model="word.again" type="password" autocomplete="new-password" required maxlength="256"></label>
            <p id="tw-pp-rule" class="tw-faint tw-pp-wide">{{ t("entry.password_rule") }} {{ t("profile.ends_others") }}</p>
            <p class="tw-pp-foot"><button class="tw-button tw-pp-go" :disabled="busy">{{ t("profile.change_password") }}</button><span role="status" class="tw-faint">{{ said.password }}</span><span role="alert" class="tw-pp-wrong">{{ wrong.password }}</span></p>
          </form>
        </section>

        <section v-if="me.password" class="tw-section tw-card" aria-labelledby="tw-pp-factor">
          <h2 id="tw-pp-factor">{{ t("entry.code_title") }}</h2>
          <template v-if="codes">
            <p>{{ t("entry.codes_lead") }}</p>
            <ol class="tw-pp-codes"><li v-for="code in codes" :key="code" class="tw-code">{{ code }}</li></ol>
            <button type="button" class="tw-button" @click="codes = null">{{ t("entry.kept") }}</button>
          </template>
          <template v-else-if="me.factor">
            <p><span class="tw-mark tw-ok">{{ t("profile.factor_on") }}</span> <span class="tw-faint" :class="{ 'tw-stale': me.recovery_codes < 3 }">{{ t("profile.codes_left", { n: me.recovery_codes }) }}</span></p>
            <form class="tw-pp-form" @submit.prevent="renew">
              <input type="hidden" autocomplete="username" :value="me.name">
              <label><span>{{ t("profile.own_password") }}</span><input v-model="proof" type="password" autocomplete="current-password" required maxlength="256"></label>
              <p class="tw-pp-foot"><button class="tw-button" :disabled="busy">{{ t("profile.new_codes") }}</button><button type="button" class="tw-button tw-pp-danger" :disabled="busy || !proof" @click="without">{{ t("profile.factor_off") }}</button></p>
            </form>
          </template>
          <template v-else-if="offer">
            <div class="tw-pp-offer">
              <img class="tw-pp-qr" :src="picture" :alt="t('entry.picture')" width="200" height="200">
              <form class="tw-pp-form tw-pp-narrow" @submit.prevent="confirm">
                <p class="tw-pp-wide">{{ t("profile.scan") }}</p>
                <p class="tw-pp-wide tw-faint">{{ t("entry.by_hand") }} <span class="tw-code tw-pp-secret">{{ grouped }}</span></p>
                <label class="tw-pp-wide"><span>{{ t("entry.first_code") }}</span><input v-model="code" inputmode="numeric" autocomplete="one-time-code" required maxlength="24"></label>
                <p class="tw-pp-foot"><button class="tw-button tw-pp-go" :disabled="busy">{{ t("profile.factor_confirm") }}</button><button type="button" class="tw-button" @click="offer = null">{{ t("profile.cancel") }}</button></p>
              </form>
            </div>
          </template>
          <template v-else>
            <p>{{ t("profile.factor_none") }}</p>
            <p class="tw-pp-foot"><button type="button" class="tw-button tw-pp-go" :disabled="busy" @click="begin">{{ t("profile.factor_begin") }}</button></p>
          </template>
          <p role="alert" class="tw-pp-wrong">{{ wrong.factor }}</p>
        </section>
        <section v-else class="tw-section tw-card"><h2>{{ t("profile.password") }}</h2><p>{{ t("profile.vouched") }}</p></section>

        <section class="tw-section tw-card" aria-labelledby="tw-pp-sessions">
          <h2 id="tw-pp-sessions">{{ t("profile.sessions") }}</h2>
          <ul class="tw-pp-list">
            <li v-for="s in sessions" :key="s.mark">
              <div><b>{{ browser(s.origin) }}</b> <span v-if="s.own" class="tw-tag">{{ t("profile.this_one") }}</span>
                <p class="tw-faint" :title="s.origin">{{ t("profile.session", { address: address(s.origin), begun_at: stamp(s.begun_at), seen_at: stamp(s.seen_at), until_at: stamp(s.until) }) }}</p></div>
              <button type="button" class="tw-button" :disabled="busy" @click="s.own ? out() : end(s)">{{ s.own ? t("entry.other") : t("profile.end") }}</button>
            </li>
          </ul>
          <p class="tw-pp-foot"><button v-if="sessions.length > 1" type="button" class="tw-button" :disabled="busy" @click="endOthers">{{ t("profile.end_others") }}</button><span role="alert" class="tw-pp-wrong">{{ wrong.sessions }}</span></p>
        </section>

        <section class="tw-section tw-card" aria-labelledby="tw-pp-tokens">
          <h2 id="tw-pp-tokens">{{ t("profile.tokens") }}</h2>
          <p class="tw-faint">{{ t("profile.tokens_lead") }}</p>
          <div v-if="fresh" class="tw-pp-fresh" role="status"><p>{{ t("profile.token_once") }}</p><code class="tw-code tw-pp-secret">{{ fresh }}</code><button type="button" class="tw-button" @click="fresh = ''">{{ t("entry.kept") }}</button></div>
          <p v-if="!tokens.length" class="tw-note">{{ t("profile.tokens_none") }}</p>
          <ul v-else class="tw-pp-list">
            <li v-for="k in tokens" :key="k.number">
              <div><b>{{ k.name }}</b> <span class="tw-tag">{{ t("role." + k.role) }}</span>
                <p class="tw-faint">{{ t(k.seen_at ? "profile.token" : "profile.token_unused", { until_at: stamp(k.until), seen_at: stamp(k.seen_at), scope: reach(k.scope) }) }}</p></div>
              <button type="button" class="tw-button" :disabled="busy" @click="revoke(k)">{{ t("profile.revoke") }}</button>
            </li>
          </ul>
          <form class="tw-pp-form" @submit.prevent="make">
            <label><span>{{ t("profile.token_name") }}</span><input v-model="wish.name" required maxlength="60" autocomplete="off"></label>
            <label><span>{{ t("profile.token_role") }}</span><select v-model="wish.role"><option v-for="r in rolesBelow" :key="r" :value="r">{{ t("role." + r) }}</option></select></label>
            <label><span>{{ t("profile.token_days") }}</span><input v-model.number="wish.days" type="number" min="1" max="366" required></label>
            <p class="tw-pp-foot"><button class="tw-button tw-pp-go" :disabled="busy">{{ t("profile.token_make") }}</button><span role="alert" class="tw-pp-wrong">{{ wrong.tokens }}</span></p>
          </form>
        </section>
      </template>
    </div>`,
  data: () => ({
    me: null, sessions: [], tokens: [], failed: false, busy: false, form: null, word: { before: "", password: "", again: "" }, offer: null, code: "", codes: null, proof: "",
    fresh: "", wish: { name: "", role: "viewer", days: 90 }, said: {}, wrong: {}, browserZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  }),
  mixins: [tw.list],
  computed: {
    scope() {
      return this.reach(this.me.scope);
    },
    zones: () => Intl.supportedValuesOf?.("timeZone") ?? [],
    grouped() {
      return this.offer.secret.match(/.{1,4}/g).join(" ");
    },
    picture() {
      return `data:image/svg+xml,${encodeURIComponent(this.offer.picture)}`;
    },
    // As in people/roles.py: a token may do no more than whose it is.
    rolesBelow() {
      return { technician: ["viewer", "technician"], supervisor: ["viewer", "technician", "supervisor"] }[this.me.role] ?? [...new Set(["viewer", this.me.role])];
    },
  },
  methods: {
    t: (key, values) => tw.t(key, values),
    stamp: (iso) => (iso ? tw.stamp(Date.parse(iso)) : ""),
    reach: (scope) => [...scope.regions, ...scope.branches].join(", ") || tw.t("profile.whole"),
    address: (origin) => origin.split(" ", 1)[0],
    browser(origin) {
      const agent = origin.slice(origin.indexOf(" ") + 1);
      const name = ["Edg", "OPR", "Firefox", "Chrome", "Safari", "curl"].find((each) => agent.includes(each));
      const system = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"].find((each) => agent.includes(each));
      return [{ Edg: "Edge", OPR: "Opera" }[name] ?? name ?? tw.t("profile.unknown_browser"), system].filter(Boolean).join(" · ");
    },
    async load() {
      try {
        [this.me, this.sessions, this.tokens] = await Promise.all([tw.json(V1), tw.json(`${V1}/sessions`), tw.json(`${V1}/tokens`)]);
        this.form ??= { full_name: this.me.full_name, language: this.me.language, zone: this.me.zone, theme: this.me.theme };
        this.failed = false;
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    // One act at a time; what is wrong stands beside what was tried.
    async act(where, method, path, body) {
      this.busy = true;
      this.wrong = {};
      this.said = {};
      try {
        return await tw.act(method, path, body);
      } catch (error) {
        this.wrong = { [where]: error.message };
        return undefined;
      } finally {
        this.busy = false;
      }
    },
    async save() {
      if ((await this.act("self", "PUT", V1, this.form)) === undefined) return;
      if (this.form.theme) tw.remember("tw_theme", this.form.theme);
      location.reload(); // in the other language
    },
    async password() {
      if (this.word.password !== this.word.again) {
        this.wrong = { password: tw.t("entry.error_again") };
        return;
      }
      const done = await this.act("password", "POST", `${V1}/password`, { before: this.word.before, password: this.word.password });
      if (done === undefined) return;
      window.TW.csrf = done.csrf;
      this.word = { before: "", password: "", again: "" };
      this.said = { password: tw.t("profile.password_changed") };
    },
    async begin() {
      this.offer = (await this.act("factor", "POST", `${V1}/factor`)) ?? null;
    },
    async confirm() {
      const done = await this.act("factor", "PUT", `${V1}/factor`, { code: this.code });
      if (done === undefined) return;
      this.codes = done.codes;
      this.offer = null;
      this.code = "";
    },
    async renew() {
      const done = await this.act("factor", "POST", `${V1}/factor/codes`, { password: this.proof });
      if (done !== undefined) this.codes = done.codes;
      this.proof = "";
    },
    async without() {
      await this.act("factor", "POST", `${V1}/factor/removal`, { password: this.proof });
      this.proof = "";
    },
    end(session) {
      return this.act("sessions", "DELETE", `${V1}/sessions/${session.mark}`);
    },
    endOthers() {
      return this.act("sessions", "DELETE", `${V1}/sessions`);
    },
    out: () => tw.session.out(),
    async make() {
      const done = await this.act("tokens", "POST", `${V1}/tokens`, this.wish);
      if (done === undefined) return;
      this.fresh = done.token;
      this.wish = { name: "", role: "viewer", days: 90 };
    },
    revoke(token) {
      return this.act("tokens", "DELETE", `${V1}/tokens/${token.number}`);
    },
  },
};
