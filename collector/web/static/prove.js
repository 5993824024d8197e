// From a value to its source: a link to the readings that it rests on, and the panel that makes the bundle which proves one. Vue escapes every text.
"use strict";

tw.source = (terminal, component, signal, at) => {
  const asked = new URLSearchParams({ component, signal });
  if (at) asked.set("at", typeof at === "number" ? new Date(at).toISOString() : at);
  return `/terminal/${encodeURIComponent(terminal)}/readings?${asked}`;
};

// <tw-source terminal component signal at>: at is ISO 8601 or UTC ms; without it the newest reading is meant.
tw.parts.source = {
  template: `<a class="tw-source" :href="href" :title="t('source.link_hint')" :aria-label="t('source.link_hint') + ': ' + terminal + ' ' + component + ' ' + signal">{{ t("source.link") }}</a>`,
  props: { terminal: String, component: String, signal: String, at: [String, Number] },
  computed: {
    href() {
      return tw.source(this.terminal, this.component, this.signal, this.at);
    },
  },
  methods: { t: (key) => tw.t(key) },
};

// <tw-prove terminal component signal at>: a button, and when it is done the bundle with the command that checks it.
tw.parts.prove = {
  template: `
    <section class="tw-prove">
      <button type="button" class="tw-button tw-prove-button" :disabled="busy" @click="make">{{ t(busy ? "source.proving" : "source.prove") }}</button>
      <p v-if="trouble" class="tw-note tw-prove-trouble" role="alert">{{ trouble }}</p>
      <div v-if="made" class="tw-prove-made" role="status">
        <h3>✓ {{ t("source.proved") }}</h3>
        <p><a class="tw-button tw-prove-file" :href="made.href" :download="made.file">{{ t("source.download", { file: made.file }) }}</a></p>
        <p>{{ made.value === null ? "–" : made.value }} · {{ stamp(made.at) }} · {{ t("source.entry", { n: number(made.entry) }) }}</p>
        <p>{{ t("source.proved_about") }}</p>
        <pre class="tw-code" tabindex="0">{{ made.verify }}</pre>
        <p class="tw-faint">{{ t("source.kept") }}</p>
      </div>
    </section>`,
  props: { terminal: String, component: String, signal: String, at: [String, Number] },
  data: () => ({ busy: false, trouble: "", made: null }),
  watch: {
    at() {
      this.made = null;
      this.trouble = "";
    },
  },
  methods: {
    async make() {
      this.busy = true;
      this.trouble = "";
      this.made = null;
      const at = typeof this.at === "number" ? new Date(this.at).toISOString() : this.at;
      try {
        this.made = await tw.act("POST", "/api/v1/proofs", { terminal: this.terminal, component: this.component, signal: this.signal, at });
      } catch (error) {
        this.trouble = error.message;
      }
      this.busy = false;
    },
    stamp: (iso) => tw.stamp(Date.parse(iso), true),
    number: (n) => tw.number(n),
    t: (key, values) => tw.t(key, values),
  },
};
