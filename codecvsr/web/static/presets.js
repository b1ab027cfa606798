// The options of a whole video, and presets: sets of them for usual kinds of videos. All can be changed on the page.

const USUAL = { quality: 'balanced', scale: 4, codec: 'h264', crf: 18, deinterlace: 'auto', strength: 1, skip_static: false, tonemap: true, conceal: false };

export const PRESETS = {
  usual: { name: 'Any video', options: USUAL },
  phone: { name: 'Phone clip', options: { ...USUAL, quality: 'fast', scale: 2, crf: 22, deinterlace: 'off' } },
  dvd: { name: 'Old DVD', options: { ...USUAL, deinterlace: 'field', strength: 0.75, tonemap: false, conceal: true } },
  screen: { name: 'Screen recording', options: { ...USUAL, scale: 2, crf: 14, deinterlace: 'off', skip_static: true, tonemap: false } },
};

const $ = (id) => document.getElementById(id);
const element = (name) => $(`o-${name}`);

/** The options as they are set on the page. */
export function readOptions() {
  return Object.fromEntries(
    Object.entries(USUAL).map(([name, usual]) => {
      const { type, checked, value } = element(name);
      return [name, type === 'checkbox' ? checked : typeof usual === 'number' ? Number(value) : value];
    }),
  );
}

function show(options) {
  for (const [name, value] of Object.entries(options)) {
    if (element(name).type === 'checkbox') element(name).checked = value;
    else element(name).value = value;
  }
}

/** Connect the form; `onChange()` is called whenever an option changes. `qualities`: name -> model, of those that are installed. */
export function connectOptions(qualities, onChange) {
  const preset = $('preset');
  for (const [key, { name }] of Object.entries(PRESETS)) preset.append(new Option(name, key));
  preset.append(new Option('Own choice', 'own'));
  for (const quality of Object.keys(qualities)) element('quality').append(new Option(quality, quality));
  const choose = () => {
    const chosen = PRESETS[preset.value];
    if (chosen) show(chosen.options);
    $('preset-text').textContent = describe(readOptions(), qualities);
    onChange();
  };
  preset.addEventListener('change', choose);
  for (const name of Object.keys(USUAL)) {
    element(name).addEventListener('change', () => {
      const now = JSON.stringify(readOptions());
      preset.value = Object.keys(PRESETS).find((key) => JSON.stringify(PRESETS[key].options) === now) ?? 'own';
      $('preset-text').textContent = describe(readOptions(), qualities);
      onChange();
    });
  }
  choose();
}

/** Every option in words: what a preset means can be seen without opening anything. */
function describe(o, qualities) {
  const words = {
    auto: 'de-interlaced where flagged', frame: 'de-interlaced', field: 'de-interlaced to twice the rate', off: 'not de-interlaced',
  };
  return [
    `${o.quality} (${qualities[o.quality] ?? 'no model'}), ${o.scale}×, ${o.codec === 'ffv1' ? 'FFV1' : `${o.codec === 'hevc' ? 'HEVC' : 'H.264'} CRF ${o.crf}`}`,
    words[o.deinterlace],
    ...(o.strength < 1 ? [`strength ${o.strength}`] : []),
    ...(o.skip_static ? ['duplicate frames copied'] : []),
    ...(o.tonemap ? ['HDR to SDR'] : []),
    ...(o.conceal ? ['damage patched'] : []),
  ].join(', ');
}
