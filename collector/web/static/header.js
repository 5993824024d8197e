// The top of every page. Wide: groups of pages as menus, the search, who one is. Narrow: one button and a sheet that holds all of it.
// Menus are lists behind a button (a disclosure): arrow keys walk, Escape goes back to the button.
const WAIT = 150; // ms after the last key before the search asks

const Search = {
  template: `
    <div class="tw-search" role="search" @focusout="left">
      <input ref="box" type="search" role="combobox" autocomplete="off" maxlength="100" aria-autocomplete="list" :aria-controls="id" :aria-expanded="String(open)" :aria-activedescendant="active >= 0 ? id + active : undefined"
             :placeholder="t('search.hint')" :aria-label="t('search.label')" :title="t('search.key')" v-model="text" @input="ask" @focus="text && ask()" @keydown="key">
      <div v-show="open" class="tw-found" :id="id" role="listbox" :aria-label="t('search.label')">
        <p v-if="failed" class="tw-found-none">{{ t("search.failed") }}</p>
        <p v-else-if="!hits.length" class="tw-found-none">{{ t("search.none") }}</p>
        <template v-for="(hit, k) in hits" :key="hit.kind + hit.id">
          <div v-if="!k || hits[k - 1].kind !== hit.kind" class="tw-found-kind" role="presentation">{{ t("search." + hit.kind) }}</div>
          <a role="option" tabindex="-1" :id="id + k" :href="hit.address" :aria-selected="String(k === active)" :class="{ 'tw-found-active': k === active }" @mousemove="active = k">
            <span v-if="hit.condition" class="tw-mark" :class="'tw-' + hit.condition"><span class="tw-visually-hidden">{{ condition(hit.condition) }}</span></span>
            <span v-else-if="hit.level" class="tw-level-badge" :class="'tw-l' + hit.level">{{ hit.level }}</span>
            <b class="tw-cut">{{ hit.title }}</b><span class="tw-faint tw-cut">{{ hit.detail }}</span>
          </a>
        </template>
      </div>
      <span class="tw-visually-hidden" role="status">{{ open && !failed ? t("search.found", { n: hits.length }) : "" }}</span>
    </div>`,
  props: { id: String },
  data: () => ({ text: "", hits: [], open: false, failed: false, active: -1, asked: 0 }),
  methods: {
    t: (key, values) => tw.t(key, values),
    condition: (name) => tw.condition(name),
    focus() {
      this.$refs.box.focus();
      this.$refs.box.select();
    },
    ask() {
      clearTimeout(this.timer);
      const text = this.text.trim();
      this.asked += 1;
      if (!text) {
        this.open = false;
        this.hits = [];
        return;
      }
      this.timer = setTimeout(() => this.fetch(text, this.asked), WAIT);
    },
    async fetch(text, asked) {
      try {
        const found = await tw.json(`/api/v1/search?q=${encodeURIComponent(text)}`);
        if (asked !== this.asked) return; // a later one is on its way
        this.hits = found.items;
        this.failed = false;
      } catch {
        if (asked !== this.asked) return;
        this.hits = [];
        this.failed = true;
      }
      this.active = this.hits.length ? 0 : -1;
      this.open = true;
    },
    key(event) {
      if (event.key === "Escape") {
        if (!this.open) this.text = "";
        this.open = false;
        event.stopPropagation();
      } else if (event.key === "Enter" && this.open && this.active >= 0) {
        location.href = this.hits[this.active].address;
      } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (!this.hits.length) return;
        this.open = true;
        this.active = (this.active + (event.key === "ArrowDown" ? 1 : -1) + this.hits.length) % this.hits.length;
        this.$nextTick(() => document.getElementById(this.id + this.active)?.scrollIntoView({ block: "nearest" }));
      }
    },
    left(event) {
      if (!this.$el.contains(event.relatedTarget)) this.open = false;
    },
  },
};

export default {
  components: { "tw-search": Search },
  template: `
    <div class="tw-header">
    <header class="tw-top">
      <a href="#tw-main" class="tw-skip">{{ t("app.skip") }}</a>
      <button type="button" class="tw-burger" :aria-label="t('nav.menu')" :aria-expanded="String(sheet)" @click="unfold"><span></span></button>
      <a href="/" class="tw-brand">{{ t("app.name") }}</a>
      <nav class="tw-nav" :aria-label="t('app.nav')" @focusout="left" @keydown="walk">
        <div v-for="(group, k) in groups" :key="group.label" class="tw-nav-group" :class="{ 'tw-nav-current': here(group) }">
          <button type="button" class="tw-nav-button" :aria-expanded="String(open === k)" :aria-controls="'tw-nav-' + k" @click="open = open === k ? -1 : k">
            {{ t(group.label) }}<span v-if="here(group)" class="tw-nav-here">{{ t(here(group).label) }}</span>
          </button>
          <ul v-show="open === k" :id="'tw-nav-' + k" class="tw-nav-list">
            <li v-for="place in group.places" :key="place.address"><a :href="place.address" :aria-current="place.here ? 'page' : undefined">{{ t(place.label) }}</a></li>
          </ul>
        </div>
      </nav>
      <span class="tw-grow"></span>
      <tw-search ref="search" id="tw-found"></tw-search>
      <span class="tw-live" role="status"><span>{{ t("app.live") }}</span></span>
      <a :href="language" class="tw-quiet tw-language" @click="speak" :title="t('app.language_hint')" :lang="other">{{ t("app.language") }}</a>
      <button type="button" class="tw-theme" :data-theme="theme" :aria-label="themed" :title="themed" @click="dress"></button>
      <div class="tw-account" @focusout="parted" @keydown.esc.stop="leave">
        <button ref="account" type="button" class="tw-account-button" :aria-expanded="String(account)" aria-controls="tw-account" :aria-label="t('nav.account') + ': ' + named" @click="account = !account">
          <span class="tw-account-sign" aria-hidden="true">{{ initial }}</span><span class="tw-account-name tw-cut">{{ named }}</span>
        </button>
        <div v-show="account" id="tw-account" class="tw-account-panel">
          <b>{{ named }}</b>
          <span v-if="who.role" class="tw-faint">{{ t("nav." + who.role) }}</span>
          <span class="tw-faint">{{ scope }}</span>
          <a v-if="who.profile" href="/profile">{{ t("nav.profile") }}</a>
          <a href="/api/v1/openapi.json">{{ t("app.api") }}</a>
          <a v-if="who.enter" href="/sign-in">{{ t("nav.signin") }}</a>
          <button v-if="who.name" type="button" class="tw-button" @click="out">{{ t("nav.signout") }}</button>
        </div>
      </div>
    </header>
    <dialog ref="sheet" class="tw-sheet" :aria-label="t('nav.menu')" @close="sheet = false">
      <div class="tw-sheet-head"><a href="/" class="tw-brand">{{ t("app.name") }}</a><span class="tw-grow"></span>
        <button type="button" class="tw-sheet-close" :aria-label="t('nav.close')" @click="$refs.sheet.close()">✕</button></div>
      <tw-search v-if="sheet" id="tw-found-sheet"></tw-search>
      <nav :aria-label="t('app.nav')">
        <section v-for="group in groups" :key="group.label"><h2>{{ t(group.label) }}</h2>
          <a v-for="place in group.places" :key="place.address" :href="place.address" :aria-current="place.here ? 'page' : undefined">{{ t(place.label) }}</a></section>
      </nav>
      <div class="tw-sheet-foot">
        <p><b>{{ named }}</b><span v-if="who.role"> · {{ t("nav." + who.role) }}</span><br><span class="tw-faint">{{ scope }}</span></p>
        <a v-if="who.profile" href="/profile" class="tw-button">{{ t("nav.profile") }}</a>
        <a v-if="who.enter" href="/sign-in" class="tw-button">{{ t("nav.signin") }}</a>
        <button v-if="who.name" type="button" class="tw-button" @click="out">{{ t("nav.signout") }}</button>
        <a :href="language" class="tw-button" :lang="other" @click="speak">{{ t("app.language") }}</a>
        <button type="button" class="tw-button" @click="dress">{{ themed }}</button>
      </div>
    </dialog>
    </div>`,
  props: { groups: Array, who: Object, language: String, theme: String },
  emits: ["theme"],
  data: () => ({ open: -1, sheet: false, account: false }),
  computed: {
    other: () => (window.TW.lang === "zh" ? "en" : "zh-CN"),
    themed() {
      return tw.t({ dark: "app.theme_dark", light: "app.theme_light" }[this.theme] ?? "app.theme_auto");
    },
    named() {
      return this.who.name || tw.t("nav.anonymous");
    },
    initial() {
      return this.who.name ? [...this.who.name][0].toUpperCase() : "–";
    },
    scope() {
      return this.who.scope.length ? this.who.scope.join(", ") : tw.t("nav.everywhere");
    },
  },
  mounted() {
    document.addEventListener("keydown", this.slash);
    document.addEventListener("pointerdown", this.elsewhere);
  },
  unmounted() {
    document.removeEventListener("keydown", this.slash);
    document.removeEventListener("pointerdown", this.elsewhere);
  },
  methods: {
    t: (key, values) => tw.t(key, values),
    here: (group) => group.places.find((place) => place.here),
    unfold() {
      this.sheet = true;
      this.$refs.sheet.showModal();
    },
    slash(event) {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.("input, textarea, select, [contenteditable], dialog")) return;
      event.preventDefault();
      if (getComputedStyle(this.$refs.search.$el).display === "none") this.unfold();
      else this.$refs.search.focus();
    },
    elsewhere(event) {
      if (!event.target.closest?.(".tw-nav")) this.open = -1;
      if (!event.target.closest?.(".tw-account")) this.account = false;
    },
    left(event) {
      if (!event.currentTarget.contains(event.relatedTarget)) this.open = -1;
    },
    parted(event) {
      if (!event.currentTarget.contains(event.relatedTarget)) this.account = false;
    },
    leave() {
      this.account = false;
      this.$refs.account.focus();
    },
    walk(event) {
      const nav = event.currentTarget;
      const buttons = [...nav.querySelectorAll(".tw-nav-button")];
      const at = buttons.findIndex((button) => button.parentElement.contains(event.target));
      const links = at < 0 ? [] : [...buttons[at].parentElement.querySelectorAll("a")];
      const on = links.indexOf(event.target);
      const go = (to) => this.$nextTick(() => to?.focus());
      if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
        const to = (at + (event.key === "ArrowRight" ? 1 : -1) + buttons.length) % buttons.length;
        if (this.open >= 0) this.open = to;
        go(buttons[to]);
      } else if (event.key === "ArrowDown") {
        this.open = at;
        go(links[(on + 1) % links.length]);
      } else if (event.key === "ArrowUp") {
        this.open = at;
        go(links.at(on < 0 ? -1 : on - 1)); // before the first one stands the last one
      } else if (event.key === "Home" || event.key === "End") {
        if (on < 0) return;
        go(event.key === "Home" ? links[0] : links.at(-1));
      } else if (event.key === "Escape" && this.open >= 0) {
        this.open = -1;
        go(buttons[at]);
      } else {
        return;
      }
      event.preventDefault();
    },
    // Who has an account keeps the language and the theme with it; the browser remembers them for everybody else.
    async speak(event) {
      if (!window.TW.account) return;
      event.preventDefault();
      await tw.act("PUT", "/api/v1/me", { language: window.TW.lang === "zh" ? "en" : "zh" }).catch(() => {});
      location.href = this.language;
    },
    dress() {
      this.$emit("theme");
      const names = ["auto", "dark", "light"];
      if (window.TW.account) tw.act("PUT", "/api/v1/me", { theme: names[(names.indexOf(this.theme) + 1) % names.length] }).catch(() => {});
    },
    out: () => tw.session.out(),
  },
};
