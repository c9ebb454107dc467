import { defineElements } from "@thumbwheel/sdk/elements";
import { createApp } from "vue";
import App from "./App.vue";

defineElements();
createApp(App).mount("#app");
