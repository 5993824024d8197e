// The technician's list: what is mine, then what nobody has taken on, branch by branch, with what to bring. Stays readable without a connection. Vue escapes every text.
export default {
  components: { "tw-clock": tw.parts.clock, "tw-waiting": tw.parts.waiting },
  template: `
    <div class="tw-phone tw-my">
      <tw-waiting :person="person" :lost="failed" :since="read"></tw-waiting>
      <p v-if="!my" class="tw-note" role="status">{{ failed ? t("phone.never") : t("alarms.loading") }}</p>
      <template v-if="my">
        <section v-for="s in parts" :key="s.name" class="tw-section">
          <h2>{{ s.title }} <span class="tw-tag">{{ s.n }}</span></h2>
          <p v-if="!s.n" class="tw-note">{{ s.none }}</p>
          <section v-for="b in s.branches" :key="b.branch" class="tw-my-branch">
            <h3>{{ b.branch }}<span v-if="b.region" class="tw-faint"> · {{ b.region }}</span></h3>
            <ol>
              <li v-for="i in b.items" :key="i.id" class="tw-my-item" :class="'tw-edge-l' + i.level">
                <p class="tw-my-head"><span class="tw-level-word" :class="'tw-lw' + i.level"><span class="tw-level-badge" :class="'tw-l' + i.level" aria-hidden="true">{{ i.level }}</span> {{ short(i.level) }}</span><span class="tw-stage" :class="'tw-stage-' + (i.on_hold ? 'on_hold' : i.state)">{{ stage(i) }}</span><span class="tw-my-age" :data-at="ms(i.occurred_at)">{{ age(i.occurred_at) }}</span></p>
                <h4><a :href="'/repair/' + encodeURIComponent(i.id)">{{ i.text }}</a></h4>
                <p class="tw-where"><b>{{ i.terminal || where(i) }}</b> <span class="tw-code">{{ i.component }}</span></p>
                <p v-if="i.cause" class="tw-my-cause">{{ cause(i) }}</p>
                <div class="tw-my-clocks"><tw-clock v-for="c in going(i)" :key="c.kind" :clock="c" :hold="i.hold_text"></tw-clock></div>
                <details v-if="i.brings.length"><summary>{{ t("phone.bring", { n: i.brings.length }) }}</summary><ul class="tw-bring"><li v-for="(one, k) in i.brings" :key="k">{{ bring(one) }}</li></ul></details>
                <p class="tw-my-acts"><button v-if="i.can.includes('acknowledge')" type="button" class="tw-button" :class="{ 'tw-primary': s.name === 'unowned' }" :disabled="busy" @click="take(i)">{{ t("inbox.act_acknowledge") }}</button><a class="tw-button" :class="{ 'tw-primary': s.name === 'mine' }" :href="'/repair/' + encodeURIComponent(i.id)">{{ t("phone.open") }}</a></p>
                <p v-if="said[i.id]" class="tw-came" role="status">{{ said[i.id] }}</p><p v-if="refused[i.id]" class="tw-refused" role="alert">{{ refused[i.id] }}</p>
              </li>
            </ol>
          </section>
        </section>
      </template>
    </div>`,
  props: { person: String },
  data: () => ({ my: null, failed: false, read: 0, busy: false, said: {}, refused: {} }),
  computed: {
    parts() {
      const by = (items) => {
        const found = new Map();
        for (const i of items) {
          const name = i.branch || tw.where(i);
          if (!found.has(name)) found.set(name, { branch: name, region: i.region, items: [] });
          found.get(name).items.push(i);
        }
        return [...found.values()];
      };
      return [
        { name: "mine", title: tw.t("phone.mine"), none: tw.t("phone.mine_none"), n: this.my.mine.length, branches: by(this.my.mine) },
        { name: "unowned", title: tw.t("phone.unowned"), none: tw.t("phone.unowned_none"), n: this.my.unowned.length, branches: by(this.my.unowned) },
      ];
    },
  },
  mixins: [tw.list],
  methods: {
    async load() {
      try {
        const said = await tw.json(`/api/v1/my?lang=${window.TW.lang}`);
        this.my = said;
        this.read = said.keptAt ?? tw.now();
        this.failed = Boolean(said.keptAt);
        tw.queue.flush();
      } catch (error) {
        this.failed = true;
        throw error;
      }
    },
    async take(i) {
      this.busy = true;
      this.said[i.id] = this.refused[i.id] = "";
      try {
        this.said[i.id] = (await tw.acts.send(i.id, "acknowledge", {})) ?? tw.t("inbox.kept");
      } catch (error) {
        this.refused[i.id] = tw.acts.why(error);
      }
      this.busy = false;
    },
    bring: (one) => tw.bring(one),
    going: (i) => i.clocks.filter((clock) => !clock.stopped_at),
    short: (n) => tw.t(`inbox.level_${n}`),
    stage: (i) => tw.stage(i),
    where: (i) => tw.where(i),
    cause: (i) => tw.cause(i),
    t: (key, values) => tw.t(key, values),
    ms: (iso) => (iso ? Date.parse(iso) : 0),
    age: (at) => tw.age(typeof at === "number" ? at : at ? Date.parse(at) : 0),
  },
};
