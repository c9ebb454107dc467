interface ImportMetaEnv {
  readonly VITE_THUMBWHEEL_URL: string;
  readonly VITE_THUMBWHEEL_KEY: string;
}

declare module "*.vue" {
  const component: import("vue").Component;
  export default component;
}
