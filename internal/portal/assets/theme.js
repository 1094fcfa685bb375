// Light or dark: as the system says, or as the reader chose. It runs before anything is drawn, so that nothing flashes.
(() => {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const chosen = () => { try { return localStorage.getItem('domicile-theme'); } catch { return null; } };
  const isDark = () => (chosen() ?? (system.matches ? 'dark' : 'light')) === 'dark';
  const apply = () => {
    const dark = isDark();
    root.dataset.theme = dark ? 'dark' : 'light';
    root.classList.toggle('dark-mode', dark); // the reference UI's own word for it
    const name = document.getElementById('theme-name');
    if (name) name.textContent = dark ? 'Light' : 'Dark';
  };
  apply();
  system.addEventListener('change', apply);
  document.addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    button.hidden = false;
    button.setAttribute('aria-label', 'Switch between light and dark');
    button.addEventListener('click', () => {
      try { localStorage.setItem('domicile-theme', isDark() ? 'light' : 'dark'); } catch { /* not kept, then */ }
      apply();
    });
    apply();
  });
})();
