// The filters above the fleet. What they say stands in the address; what somebody saves is kept with their account, or in this browser.
const KEY = "fleet-filters";
const SAVED = 30; // of one person: more than that is no list any more
const LONGEST = 60;

export default {
  template: `
    <search class="tw-filters tw-fleet-filters" :class="{ 'tw-unfolded': unfolded }">
      <input type="search" id="tw-q" maxlength="100" :placeholder="t('fleet.filter_text')" :aria-label="t('fleet.filter_text')" :value="now.q" @input="set('q', $event.target.value)">
      <button type="button" class="tw-button tw-filters-more" :aria-expanded="String(unfolded)" aria-controls="tw-filters-rest" @click="unfolded = !unfolded">{{ t("fleet.filters") }}<b v-if="used"> · {{ used }}</b></button>
      <div id="tw-filters-rest" class="tw-filters-rest">
        <select v-for="one in selects" :key="one.name" :id="'tw-' + one.name" :aria-label="one.label" :class="{ 'tw-set': now[one.name] }" :value="now[one.name]" @change="set(one.name, $event.target.value)">
          <option value="">{{ one.label }}</option>
          <option v-for="[value, label] in one.options" :key="value" :value="value">{{ label }}</option>
          <option v-if="now[one.name] && !one.options.some(([value]) => value === now[one.name])" :value="now[one.name]">{{ now[one.name] }}</option>
        </select>
        <div class="tw-saved" @focusout="left" @keydown.esc.stop="shut">
          <button ref="saved" type="button" class="tw-button" :aria-expanded="String(open)" aria-controls="tw-saved" @click="unfold">{{ t("fleet.saved") }}<b v-if="saved.length"> · {{ saved.length }}</b></button>
          <div v-show="open" id="tw-saved" class="tw-saved-panel">
            <p v-if="!saved.length" class="tw-faint">{{ t("fleet.saved_none") }}</p>
            <ul><li v-for="one in saved" :key="one.name"><a :href="'/?' + one.query">{{ one.name }}</a><button type="button" class="tw-forget" :aria-label="t('fleet.forget', { name: one.name })" @click="forget(one)">✕</button></li></ul>
            <form v-if="used || now.q" @submit.prevent="save"><input v-model.trim="name" :maxlength="longest" required :placeholder="t('fleet.save_as')" :aria-label="t('fleet.save_as')"><button class="tw-button" :disabled="saved.length >= most">{{ t("fleet.save") }}</button></form>
            <p v-else class="tw-faint">{{ t("fleet.save_first") }}</p>
            <p v-if="trouble" class="tw-warning" role="alert">{{ trouble }}</p>
          </div>
        </div>
      </div>
      <span id="tw-nomatch" v-show="total && !n" role="status" class="tw-reason">{{ t("fleet.no_match") }}</span>
      <button v-show="used || now.q" type="button" id="tw-clear" class="tw-button" @click="clear">{{ t("fleet.clear") }}</button>
      <span id="tw-count" class="tw-count" role="status">{{ total === null ? "" : t("fleet.shown", { n: number(n), total: number(total) }) }}</span>
    </search>`,
  props: { groups: Array, conditions: Array },
  data: () => ({ now: { ...tw.fleet.filters }, places: [], classes: [], states: [], versions: [], saved: [], open: false, unfolded: false, name: "", trouble: "", n: 0, total: null, longest: LONGEST, most: SAVED }),
  computed: {
    selects() {
      const sorted = (names) => [...new Set(names)].sort((a, b) => a.localeCompare(b, tw.locale(), { numeric: true })).map((name) => [name, name]);
      const here = this.places.filter(([, region]) => !this.now.region || region === this.now.region);
      return [
        { name: "region", label: tw.t("fleet.filter_region"), options: sorted(this.places.map(([, region]) => region)) },
        { name: "branch", label: tw.t("fleet.filter_branch"), options: sorted(here.map(([branch]) => branch)) },
        { name: "class", label: tw.t("fleet.filter_class"), options: sorted(this.classes) },
        { name: "condition", label: tw.t("fleet.filter_condition"), options: this.conditions.map((name) => [name, tw.condition(name)]) },
        { name: "state", label: tw.t("fleet.filter_state"), options: this.states.map((name) => [name, tw.t(`state.${name}`)]) },
        { name: "version", label: tw.t("fleet.filter_version"), options: sorted(this.versions) },
        { name: "part", label: tw.t("fleet.filter_part"), options: this.groups.map((name) => [name, tw.t(`part.${name}`)]) },
      ];
    },
    used() {
      return tw.fleet.names.filter((name) => name !== "q" && this.now[name]).length;
    },
  },
  created() {
    tw.fleet.groups = this.groups;
    tw.fleet.bar = this;
  },
  mounted() {
    tw.fleet.controls();
    if (tw.fleet.rows.size) this.offer(tw.fleet.rows);
    tw.liked(KEY).then((saved) => (this.saved = Array.isArray(saved) ? saved : []), () => {});
    document.addEventListener("pointerdown", this.elsewhere);
  },
  unmounted() {
    document.removeEventListener("pointerdown", this.elsewhere);
  },
  methods: {
    t: (key, values) => tw.t(key, values),
    number: (n) => tw.number(n),
    set: (name, value) => tw.fleet.set(name, value),
    clear: () => tw.fleet.clear(),
    told() {
      this.now = { ...tw.fleet.filters };
    },
    count(n, total) {
      this.n = n;
      this.total = total;
    },
    offer(rows) {
      const places = new Map();
      const classes = new Set();
      const states = new Set();
      const versions = new Set();
      for (const row of rows.values()) {
        places.set(`${row.branch}\n${row.region}`, [row.branch, row.region]);
        classes.add(row.class);
        if (row.state) states.add(row.state);
        if (row.version) versions.add(row.version);
      }
      this.places = [...places.values()];
      this.classes = [...classes];
      this.states = [...states].sort();
      this.versions = [...versions];
    },
    unfold() {
      this.open = !this.open;
      this.trouble = "";
    },
    shut() {
      this.open = false;
      this.$refs.saved.focus();
    },
    left(event) {
      if (event.relatedTarget && !event.currentTarget.contains(event.relatedTarget)) this.open = false;
    },
    elsewhere(event) {
      if (!event.target.closest?.(".tw-saved")) this.open = false;
    },
    async keep(saved) {
      try {
        await tw.like(KEY, saved);
        this.saved = saved;
        this.trouble = "";
      } catch (error) {
        this.trouble = error.message;
      }
    },
    save() {
      const asked = new URLSearchParams();
      for (const name of tw.fleet.names) if (this.now[name]) asked.set(name, this.now[name]);
      const name = this.name.slice(0, LONGEST);
      this.name = "";
      return this.keep([...this.saved.filter((one) => one.name !== name), { name, query: asked.toString() }].slice(0, SAVED));
    },
    forget(one) {
      return this.keep(this.saved.filter((each) => each !== one));
    },
  },
};
